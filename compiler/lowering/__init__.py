"""From ATen operators to TE tensors to PrimFuncs: one rule per operator."""
