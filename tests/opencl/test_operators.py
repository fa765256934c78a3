"""The tests of lowering rules again: each of their kernels on a device."""

import importlib
import pkgutil
from typing import Any

import pytest

import tests.lowering
import tests.quantization
from tests.opencl.operators import on_device

__all__ = ["on_device"]
pytestmark = pytest.mark.slow
_OF_CPUS = ("test_sharing", "test_winograd")  # how many kernels there are, how they are scheduled
_OF_INTEGERS = ("test_rules", "test_groups_rule", "test_dynamic_rules")


def _tests(package: Any, modules: tuple[str, ...]) -> dict[str, Any]:
    """The tests of some modules, named by both."""
    found = {}
    for module in modules:
        for name, value in vars(importlib.import_module(f"{package.__name__}.{module}")).items():
            if name.startswith("test_"):
                found[f"{module}__{name.removeprefix('test_')}"] = value
    return found


def _modules(package: Any) -> tuple[str, ...]:
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(name for name in names if name.startswith("test_") and name not in _OF_CPUS)


globals().update(_tests(tests.lowering, _modules(tests.lowering)))
globals().update(_tests(tests.quantization, _OF_INTEGERS))
