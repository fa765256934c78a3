"""Measurements; run them as modules from the root: python -m benchmarks.compile_time."""
