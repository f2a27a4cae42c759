"""Several models over the same pictures, one after the other on one device."""
