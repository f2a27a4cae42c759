"""Frozen networks that turn a picture into a vector, each with its own preprocessing."""
