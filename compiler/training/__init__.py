"""Training of programs in place."""
