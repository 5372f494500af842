"""Random batches over every store, compared with a plain dict."""
