"""The scripts that the held-out cases edit. Whoever writes a detector does not look here."""
