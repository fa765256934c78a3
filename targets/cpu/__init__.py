"""How CPU kernels are scheduled and turned into machine code."""
