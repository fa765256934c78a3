"""Tests of the lowering rules: values against torch over many shapes."""
