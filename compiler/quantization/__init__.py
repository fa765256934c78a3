"""The integer arithmetic of quantized programs: docs/quantization.md is its specification."""
