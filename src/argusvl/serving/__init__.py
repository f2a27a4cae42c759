"""Checkpoints that are asked over HTTP: bounded in everything, answering in batches."""
