"""What the report shows of hands."""
