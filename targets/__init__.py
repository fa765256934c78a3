"""What a device is, as data with a source for every number, and how its kernels are made."""

from .host import UnsupportedHost, runs_here
from .microcontrollers import Microcontroller
from .mobile_gpus import MobileGpu
from .registry import UnknownTarget, WrongTargetOption, get, names, register
from .target import KiB, MiB, Target

__all__ = [
    "KiB",
    "MiB",
    "Microcontroller",
    "MobileGpu",
    "Target",
    "UnknownTarget",
    "UnsupportedHost",
    "WrongTargetOption",
    "get",
    "names",
    "register",
    "runs_here",
]
