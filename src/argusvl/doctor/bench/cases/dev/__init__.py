"""The development cases: detectors may be tuned on them."""
