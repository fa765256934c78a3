"""Which positions of which tensors must shrink together, and the shrinking."""
