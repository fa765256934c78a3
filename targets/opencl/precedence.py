"""Precedences of the operators of C: high binds tighter."""

ATOM, UNARY, FACTOR, SUM, SHIFT, COMPARISON, EQUALITY, BITS, AND, OR, CHOICE = range(11, 0, -1)

Written = tuple[str, int]  # OpenCL C and its precedence
