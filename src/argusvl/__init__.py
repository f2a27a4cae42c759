"""Argus trains vision and vision-language models, and watches over the training."""

import argus_doctor

__version__ = "0.1.0"

argus_doctor.CATALOGUES.append("argusvl")
