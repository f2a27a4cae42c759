"""Results beside the truth: what they are worth."""
