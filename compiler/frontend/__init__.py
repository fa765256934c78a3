"""Readers of user models: everything that turns a model into a `Program`."""
