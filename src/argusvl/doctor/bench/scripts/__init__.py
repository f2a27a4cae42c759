"""Plain training scripts as people write them. They are read, edited and executed, never imported.

``train(watch_factory, seed)`` returns figures; ``quality`` is always among them, greater is better, and 1 is perfect:
an accuracy, the share of variance explained, or the share of targets met.
"""
