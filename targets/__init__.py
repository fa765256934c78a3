"""What a device is, as data with a source for every number, and how its kernels are made."""

from .host import UnsupportedHost, runs_here
from .registry import UnknownTarget, get, names, register
from .target import KiB, MiB, Target

__all__ = [
    "KiB",
    "MiB",
    "Target",
    "UnknownTarget",
    "UnsupportedHost",
    "get",
    "names",
    "register",
    "runs_here",
]
