"""A checkpoint and pictures → what is found in them, in the caller's terms."""
