"""Configuration: a strict, frozen schema, and loading it from YAML and ``key=value`` overrides."""
