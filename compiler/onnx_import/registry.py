"""Which function says an ONNX operator in PyTorch."""

from collections.abc import Callable, Iterator
from typing import Any

from .call import Call

Translation = Callable[[Call], Any]
STANDARD, MICROSOFT = "", "com.microsoft"
_TRANSLATIONS: dict[tuple[str, str], Translation] = {}


def onnx_op(*names: str, domain: str = STANDARD) -> Callable[[Translation], Translation]:
    """Register a function that translates the operators `names`, in all their versions.

    The function gets a `Call` and returns what the operator gives: a tensor for one result, a tuple
    for several (None where one is not wanted), a list of tensors for a sequence, or numpy arrays
    for what is known without running the model, as shapes are. It calls PyTorch functions that
    `torch.export` can follow on static shapes, looks at `call.opset` where versions differ, and
    raises `call.refused(...)` for what it cannot do.
    """

    def register(function: Translation) -> Translation:
        for name in names:
            assert (domain, name) not in _TRANSLATIONS, f"{domain}.{name} is registered twice"
            _TRANSLATIONS[domain, name] = function
        return function

    return register


def translation(domain: str, name: str) -> Translation | None:
    """The function for an operator; None where there is none."""
    return _TRANSLATIONS.get((STANDARD if domain == "ai.onnx" else domain, name))


def translated_ops() -> Iterator[tuple[str, str]]:
    """Domain and name of every operator that is translated, in order."""
    yield from sorted(_TRANSLATIONS)
