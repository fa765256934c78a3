"""Which positions of which tensors must shrink together, and the shrinking."""

from .analyze import Coupling, analyze
from .groups import Group, Locked, Member
from .shrink import shrink, zero_out

__all__ = ["Coupling", "Group", "Locked", "Member", "analyze", "shrink", "zero_out"]
