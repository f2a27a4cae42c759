"""The cases: a file for each, with ``SEEDS`` and ``build(seed)``."""
