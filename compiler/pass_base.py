"""What a pass is: a named, typed transformation of a Program that reports what it did."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, get_args

from .ir.program import Program
from .option_text import format_options, plain_value
from .pass_context import PassContext
from .pass_report import Contract, PassReport

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_REGISTRY: dict[str, type["Pass"]] = {}


@dataclass(frozen=True)
class Pass(ABC):
    """Base of all passes.

    A subclass sets `name` (words in lower case joined by "-") and `contract`, has its options as
    dataclass fields (then it is a frozen dataclass itself), and implements `run`. Defining the
    class registers it, so that its text form can be parsed; a second class of the same name is an
    error.

    Contracts: an "exact" pass leaves every value as it was, a "tolerance" pass within the bound
    that its docstring states, a "lossy" one changes values and reports by how much.
    """

    name: ClassVar[str]
    contract: ClassVar[Contract]
    comes_last: ClassVar[bool] = False  # `compile` runs it after its own rewrites, not before

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name, contract = getattr(cls, "name", ""), getattr(cls, "contract", "")
        if not _NAME.fullmatch(name):
            raise TypeError(f"{cls.__qualname__}.name must be like 'fold-relu', got {name!r}")
        if contract not in get_args(Contract):
            raise TypeError(
                f"{cls.__qualname__}.contract must be one of {get_args(Contract)}, got {contract!r}"
            )
        known = _REGISTRY.setdefault(name, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"two passes named {name}: {known.__qualname__}, {cls.__qualname__}")
        _REGISTRY[name] = cls  # the same class once more: a reload, or a notebook cell run again

    @abstractmethod
    def run(self, program: Program) -> int:
        """Rewrite `program` in place; the number of rewrites made, 0 = untouched.

        Dead nodes and unused weights may stay behind; the pass manager drops them.
        """

    @cached_property
    def report(self) -> PassReport:
        """Notes on the current run; the pass manager starts every run with an empty one."""
        options = {name: plain_value(value) for name, value in self.options.items()}
        return PassReport(name=self.name, options=options, contract=self.contract)

    @cached_property
    def context(self) -> PassContext:
        """Data, the original program and the target; the pass manager sets it for every run."""
        return PassContext()

    @property
    def options(self) -> dict[str, Any]:
        """The options by name."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    def __str__(self) -> str:
        """The text form with every option, such as `prune-channels{ratio=0.5,criterion=taylor}`."""
        return self.name + format_options(self.options)


def known_passes() -> dict[str, type[Pass]]:
    """Every pass class defined so far by name, sorted."""
    return dict(sorted(_REGISTRY.items()))
