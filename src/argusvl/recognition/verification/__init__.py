"""The four groups of checks of `argus recognize verify`."""
