"""The scripts that the development cases edit."""
