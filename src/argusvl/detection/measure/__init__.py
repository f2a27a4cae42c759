"""Predictions and truth → figures; and what a run will take before it starts."""
