"""What goes wrong with other libraries and must not go wrong here, one module a subject."""
