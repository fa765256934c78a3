"""A graph compiler that turns PyTorch models into dependency-free libraries with a plain C ABI.

    import penjing

    artifact = penjing.compile(model, (x,), target="arm-a72")
    artifact.run(x)
    artifact.save("build/")

The names below are imported when first used, so that `import penjing` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import passes, targets
    from .compiler.accuracy import bisect, compare, saturation
    from .compiler.artifact import Artifact, load
    from .compiler.driver import compile
    from .compiler.errors import CompileError
    from .compiler.frontend.trace import trace
    from .compiler.ir.program import Program
    from .compiler.ir.tensor_spec import TensorSpec
    from .compiler.lowering.registry import lowers
    from .compiler.pass_manager import optimize

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "CompileError",
    "Program",
    "TensorSpec",
    "bisect",
    "compare",
    "compile",
    "load",
    "lowers",
    "optimize",
    "passes",
    "saturation",
    "targets",
    "trace",
]

_HOMES = {
    "Artifact": ".compiler.artifact",
    "CompileError": ".compiler.errors",
    "Program": ".compiler.ir.program",
    "TensorSpec": ".compiler.ir.tensor_spec",
    "bisect": ".compiler.accuracy",
    "compare": ".compiler.accuracy",
    "compile": ".compiler.driver",
    "load": ".compiler.artifact",
    "lowers": ".compiler.lowering.registry",
    "optimize": ".compiler.pass_manager",
    "saturation": ".compiler.accuracy",
    "trace": ".compiler.frontend.trace",
}
_NAME_PASSES = ("bisect", "optimize")  # take passes as text, which importing them makes known


def __getattr__(name: str) -> Any:
    if name in ("passes", "targets"):
        return importlib.import_module(f".{name}", __name__)
    if name in _HOMES:
        if name in _NAME_PASSES:
            importlib.import_module(".passes", __name__)
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
