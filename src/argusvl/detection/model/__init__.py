"""The detector: a stock Qwen2.5-VL held beside a detection head, its matching and its losses."""
