"""Checkpoints that are asked by other programs: bounded in everything."""
