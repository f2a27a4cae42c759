"""Task 1: dense detection and captioning on Qwen2.5-VL."""
