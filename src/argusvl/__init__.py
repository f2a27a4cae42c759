"""Argus trains vision and vision-language models, and watches over the training."""

__version__ = "0.1.0"
