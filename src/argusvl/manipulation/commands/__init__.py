"""What the verbs do for hands."""
