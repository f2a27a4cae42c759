"""Pictures of a folder → vectors in a store that an interruption cannot damage."""
