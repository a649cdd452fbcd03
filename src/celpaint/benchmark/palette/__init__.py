"""The palette method measured in depth."""
