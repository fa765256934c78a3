"""Complex numbers inside of a model as pairs of real tensors; programs have no complex dtype."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch._ops import OpOverload
from torch.fx import Node
from torch.utils import _pytree as pytree

from ...errors import CompileError
from ...ir.program import node_spec
from .emitter import Emitter
from .registry import emit_normal
from .views import reshaped, select, shape_of

_ATEN = torch.ops.aten
_R = TypeVar("_R", bound=Callable[..., Any])
COMPLEX_RULES: dict[OpOverload, Callable[..., Any]] = {}
_FIX = "compute with real and imaginary parts: torch.view_as_real"

# What only moves elements moves those of both parts.
_PARTWISE = frozenset(
    {
        *(_ATEN.clone.default, _ATEN.alias.default, _ATEN.detach.default, _ATEN.expand.default),
        *(_ATEN.view.default, _ATEN._unsafe_view.default, _ATEN.permute.default),
        *(_ATEN.unsqueeze.default, _ATEN.squeeze.dims, _ATEN.slice.Tensor, _ATEN.select.int),
        *(_ATEN.index.Tensor, _ATEN.index_select.default, _ATEN.cat.default, _ATEN.stack.default),
        *(_ATEN.flip.default, _ATEN.roll.default, _ATEN.repeat.default, _ATEN.neg.default),
        *(_ATEN.sum.dim_IntList, _ATEN.mean.dim, _ATEN.embedding.default),
    }
)


@dataclass(frozen=True)
class Complex:
    """A complex tensor; `imag` is None where it is zero everywhere."""

    real: Node
    imag: Node | None


def calculates_complex(node: Node, operands: Any) -> bool:
    """Whether a traced call reads or gives complex numbers."""
    value = node.meta.get("val")
    gives = isinstance(value, torch.Tensor) and value.dtype.is_complex
    return gives or any(isinstance(leaf, Complex) for leaf in pytree.tree_leaves(operands))


def emit_complex(emit: Emitter, target: OpOverload, args: Any, kwargs: Any) -> Any:
    """The form of a call on real and imaginary parts.

    Raises:
        CompileError: The operator has no such form here.
    """
    if target in _PARTWISE:
        return _partwise(emit, target, args, kwargs)
    if target not in COMPLEX_RULES:
        raise CompileError("the operator is not supported on complex numbers", fix=_FIX)
    return COMPLEX_RULES[target](emit, *args, **kwargs)


def complexifies(*ops: OpOverload) -> Callable[[_R], _R]:
    """Register a function as the form of `ops` on complex numbers."""

    def add(rule: _R) -> _R:
        for op in ops:
            assert COMPLEX_RULES.setdefault(op, rule) is rule, f"two complex forms for {op}"
        return rule

    return add


def parts(emit: Emitter, x: Any) -> tuple[Node, Node]:
    """Real and imaginary part of a complex or real tensor, zeros written out."""
    real, imag = (x.real, x.imag) if isinstance(x, Complex) else (x, None)
    if imag is None:
        spec = node_spec(real)
        imag = emit(_ATEN.full.default, list(spec.shape), 0.0, dtype=spec.torch_dtype)
    return real, imag


def _partwise(emit: Emitter, target: OpOverload, args: Any, kwargs: Any) -> Complex:
    leaves = [leaf for leaf in pytree.tree_leaves(args) if isinstance(leaf, Complex)]
    is_real = all(leaf.imag is None for leaf in leaves)

    def part(index: int) -> Any:
        def choose(leaf: Any) -> Any:
            return parts(emit, leaf)[index] if isinstance(leaf, Complex) else leaf

        return emit_normal(emit, target, pytree.tree_map(choose, args), kwargs)

    return Complex(part(0), None if is_real else part(1))


def _both(x: Any) -> tuple[Any, Any]:
    return (x.real, x.imag) if isinstance(x, Complex) else (x, None)


def add(emit: Emitter, x: Any, y: Any, target: OpOverload = _ATEN.add.Tensor) -> Any:
    """Sum (or difference) of two operands, None for zero."""
    if y is None:
        return x
    if x is None:
        return y if target is _ATEN.add.Tensor else emit(_ATEN.neg.default, y)
    return emit(target, x, y)


def times(emit: Emitter, x: Any, y: Any) -> Any:
    """Product of two operands, None for zero."""
    return None if x is None or y is None else emit(_ATEN.mul.Tensor, x, y)


@complexifies(_ATEN.add.Tensor)
def _add(emit: Emitter, x: Any, y: Any, *, alpha: float = 1) -> Complex:
    (a, b), (c, d) = _both(x), _both(y)
    if alpha != 1:
        c, d = times(emit, c, alpha), times(emit, d, alpha)
    return Complex(add(emit, a, c), add(emit, b, d))


@complexifies(_ATEN.sub.Tensor)
def _subtract(emit: Emitter, x: Any, y: Any, *, alpha: float = 1) -> Complex:
    (a, b), (c, d) = _both(x), _both(y)
    if alpha != 1:
        c, d = times(emit, c, alpha), times(emit, d, alpha)
    return Complex(add(emit, a, c, _ATEN.sub.Tensor), add(emit, b, d, _ATEN.sub.Tensor))


@complexifies(_ATEN.mul.Tensor)
def multiply(emit: Emitter, x: Any, y: Any) -> Complex:
    """(a + ib)(c + id) = (ac - bd) + i(ad + bc)."""
    (a, b), (c, d) = _both(x), _both(y)
    real = add(emit, times(emit, a, c), times(emit, b, d), _ATEN.sub.Tensor)
    return Complex(real, add(emit, times(emit, a, d), times(emit, b, c)))


@complexifies(_ATEN.div.Tensor)
def _divide(emit: Emitter, x: Any, y: Any) -> Complex:
    """(a + ib) / c, and by a complex number its conjugate times over its squared size."""
    (a, b), (c, d) = _both(x), _both(y)
    if d is None:
        imag = None if b is None else emit(_ATEN.div.Tensor, b, c)
        return Complex(emit(_ATEN.div.Tensor, a, c), imag)
    size = add(emit, times(emit, c, c), times(emit, d, d))
    product = multiply(emit, x, Complex(c, emit(_ATEN.neg.default, d)))
    return _divide(emit, product, size)


@complexifies(_ATEN.view_as_complex.default)
def _from_pairs(emit: Emitter, x: Node) -> Complex:
    last = len(shape_of(x)) - 1
    return Complex(select(emit, x, last, 0), select(emit, x, last, 1))


@complexifies(_ATEN.view_as_real.default)
def _to_pairs(emit: Emitter, x: Complex) -> Node:
    halves = [reshaped(emit, part, (*shape_of(part), 1)) for part in parts(emit, x)]
    return emit(_ATEN.cat.default, halves, len(shape_of(x.real)))


@complexifies(_ATEN.complex.default)
def _from_parts(emit: Emitter, real: Node, imag: Node) -> Complex:
    return Complex(real, imag)


@complexifies(_ATEN.polar.default)
def _from_angle(emit: Emitter, size: Node, angle: Node) -> Complex:
    waves = emit(_ATEN.cos.default, angle), emit(_ATEN.sin.default, angle)
    return Complex(*(emit(_ATEN.mul.Tensor, size, wave) for wave in waves))


@complexifies(_ATEN._to_copy.default)
def _cast(emit: Emitter, x: Any, *, dtype: torch.dtype | None = None, **_: object) -> Any:
    """To a complex dtype by parts; to a real one the real part, as PyTorch does with a warning."""
    real, imag = _both(x)
    real = emit_normal(emit, _ATEN._to_copy.default, (real,), {})
    if not emit.gives_complex:
        return real
    if imag is not None:
        imag = emit_normal(emit, _ATEN._to_copy.default, (imag,), {})
    return Complex(real, imag)


@complexifies(_ATEN._conj.default, _ATEN._conj_physical.default, _ATEN.conj_physical.default)
def _conjugate(emit: Emitter, x: Complex) -> Complex:
    return Complex(x.real, None if x.imag is None else emit(_ATEN.neg.default, x.imag))


@complexifies(_ATEN.abs.default)
def _size(emit: Emitter, x: Complex) -> Node:
    if x.imag is None:
        return emit(_ATEN.abs.default, x.real)
    return emit(_ATEN.hypot.default, x.real, x.imag)


@complexifies(_ATEN.angle.default)
def _angle(emit: Emitter, x: Complex) -> Node:
    real, imag = parts(emit, x)
    return emit(_ATEN.atan2.default, imag, real)
