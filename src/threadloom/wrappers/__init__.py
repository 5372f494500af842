"""Wrappers: stores around stores, for encryption, reading only, and metrics."""
