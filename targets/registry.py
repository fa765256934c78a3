"""Targets by name."""

import difflib
from collections.abc import Callable
from dataclasses import replace

from .arm import ARM_TARGETS
from .host import host_target
from .microcontrollers import BOARDS, CORES, Microcontroller, size_in_bytes
from .mobile_gpus import GPUS, SYSTEMS, MobileGpu, portable_gpu, with_cpu
from .target import Target
from .x86 import X86_TARGETS


class UnknownTarget(ValueError):
    """No target has this name; the message lists those that exist.

    Attributes:
        name: What was asked for.
        nearest: The known name that looks most like it, or "".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nearest = _nearest(name)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"unknown target {name!r}{hint} (known: {', '.join(names())})")


_TARGETS: dict[str, Callable[[], Target]] = {"host": host_target}


def register(target: Target) -> Target:
    """Make a target known by its name; a second one of the same name is an error."""
    if target.name in _TARGETS:
        raise ValueError(f"there is already a target named {target.name!r}")
    _TARGETS[target.name] = lambda: target
    return target


class WrongTargetOption(ValueError):
    """A target is given an option that it does not have, or no size where one belongs."""


def get(
    name: str, *, flash: str | int = "", ram: str | int = "", cpu: str = "", os: str = ""
) -> Target:
    """The target of that name; "host" describes the machine this runs on.

    Args:
        name: A known name, or one with its options as text: "cortex-m4,flash=1MB,ram=256KB",
            "adreno-7xx,cpu=arm-a53,os=android".
        flash: Bytes for code and constants of a microcontroller, as a number or "1MB".
        ram: Bytes of its memory that can be written, likewise.
        cpu: Name of the 64-bit CPU beside a mobile GPU.
        os: What runs there: "linux" or "android".

    Raises:
        UnknownTarget: No target has that name.
        UnsupportedHost: The name is "host", and penjing cannot generate code for this machine.
        WrongTargetOption: The target has no such option, or its value does not fit.
    """
    name, *texts = name.split(",")
    if name not in _TARGETS:
        raise UnknownTarget(name)
    target = _TARGETS[name]()
    options: dict[str, str | int] = {"flash": flash, "ram": ram, "cpu": cpu, "os": os}
    for text in texts:
        option, _, value = text.strip().partition("=")
        if option not in options or not value:
            raise WrongTargetOption(
                f"{name}: options are flash=SIZE, ram=SIZE, cpu=TARGET and os=android, got {text!r}"
            )
        options[option] = value
    return _with_options(target, {option: value for option, value in options.items() if value})


def _with_options(target: Target, options: dict[str, str | int]) -> Target:
    sizes = {option: value for option, value in options.items() if option in ("flash", "ram")}
    words = {option: str(value) for option, value in options.items() if option not in sizes}
    if sizes and not isinstance(target, Microcontroller):
        raise WrongTargetOption(f"{target.name} is no microcontroller: it has no {min(sizes)}")
    if words and not isinstance(target, MobileGpu):
        raise WrongTargetOption(f"{target.name} is no mobile GPU: it has no {min(words)}")
    if isinstance(target, Microcontroller):
        return _with_memory(target, sizes)
    return _with_system(target, **words) if isinstance(target, MobileGpu) else target


def _with_system(gpu: MobileGpu, cpu: str = "", os: str = "") -> MobileGpu:
    """The GPU beside another CPU, under another operating system."""
    if os not in ("", *SYSTEMS):
        raise WrongTargetOption(f"{gpu.name}: os is {' or '.join(SYSTEMS)}, got {os!r}")
    if cpu:
        beside = get(cpu)
        if isinstance(beside, MobileGpu | Microcontroller) or beside.pointer_bits != 64:
            raise WrongTargetOption(f"{gpu.name}: {cpu} is no 64-bit CPU")
        gpu = with_cpu(gpu, beside)
    return replace(gpu, os=os or gpu.os)


def _with_memory(target: Microcontroller, options: dict[str, str | int]) -> Target:
    try:
        sizes = {option: size_in_bytes(value) for option, value in options.items()}
    except ValueError as error:
        raise WrongTargetOption(f"{target.name}: {error}") from error
    return replace(
        target,
        flash_bytes=sizes.get("flash", target.flash_bytes),
        ram_bytes=sizes.get("ram", target.ram_bytes),
    )


def names() -> tuple[str, ...]:
    """The known names, in the order they were registered."""
    return tuple(_TARGETS)


def _nearest(name: str) -> str:
    # The letters in any order count as much as in theirs: people swap digits (a27 for a72).
    def likeness(known: str) -> float:
        pairs = ((name, known), (sorted(name), sorted(known)))
        return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs) / len(pairs)

    best = max(names(), key=likeness)
    return best if likeness(best) > 0.7 else ""


for _target in (*X86_TARGETS, *ARM_TARGETS):
    register(_target)
_TARGETS["opencl"] = portable_gpu
for _target in (*GPUS, *CORES, *BOARDS):
    register(_target)
