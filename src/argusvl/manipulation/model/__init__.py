"""The manipulation transformer: encoder, decoder of the hand's joints and the object, refinement, and losses."""
