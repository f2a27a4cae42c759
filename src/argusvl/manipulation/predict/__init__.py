"""A checkpoint and pictures: hands in the caller's terms."""
