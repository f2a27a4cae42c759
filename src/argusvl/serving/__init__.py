"""Checkpoints that others ask, over HTTP or as tools of an agent: bounded in everything."""
