"""Classes from a few examples each: classification, unknowns, tables."""
