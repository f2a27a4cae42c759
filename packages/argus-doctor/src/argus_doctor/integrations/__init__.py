"""The watch in other people's loops."""
