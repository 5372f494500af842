"""The public contract over every store, and proof that it can fail."""
