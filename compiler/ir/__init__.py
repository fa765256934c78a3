"""The program: a flat graph of ATen operators, its text, checks, storage and fused regions."""
