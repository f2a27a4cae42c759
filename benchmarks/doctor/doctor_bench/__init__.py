"""The doctor's benchmark: small training scripts with a known fault, each beside its twin without it.

A case says how a plain script is edited and what is then wrong with it; the runner executes the script under a
detector, and scoring asks what the detector found that it does not find in the twin.
"""
