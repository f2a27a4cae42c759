"""The held-out cases: whoever writes a detector does not look here."""
