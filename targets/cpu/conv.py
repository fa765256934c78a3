"""Convolutions: a register tile of output channels x neighboring columns."""

from typing import Any

from ..target import Target
from .stages import Stage


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "conv" or "depthwise" accumulation and its epilogue."""
    return set()
