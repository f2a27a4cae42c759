"""Records of hands: what they say, what is checked, and the formats that they are read from."""
