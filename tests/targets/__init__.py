"""How the kernels of a target are scheduled, looked at from below."""
