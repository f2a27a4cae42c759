"""Task 3: streaming feature extraction and few-shot recognition."""
