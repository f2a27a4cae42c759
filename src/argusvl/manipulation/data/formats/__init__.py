"""The formats that records of hands are read from."""
