"""The published conformance suite and the delta-channel contract, on every store."""
