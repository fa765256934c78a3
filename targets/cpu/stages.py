"""What a schedule needs to know about the stages (blocks) of a kernel."""

from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import ir, s_tir, tirx

from .flatten import dense_strides, strides_of

_SPATIAL, _REDUCE = 0, 2  # tirx IterVar types: data parallel, commutative reduction


@dataclass(frozen=True)
class Stage:
    """One block of a schedule, as it was before any loop was touched."""

    block: Any  # SBlockRV
    node: Any  # tirx SBlock
    kind: str  # "injective", "reduction" or "opaque" (anything without one plain store)
    template: str  # the rule's attrs={"schedule": ...}, "" = none
    rows: int  # leading axes that are independent rows, for template "rows"
    strided: tuple[tuple[Any, list[int]], ...]  # parameters of the kernel that are not dense
    parameters: tuple[Any, ...] = ()  # the buffers that the kernel is given

    @property
    def name(self) -> str:
        """The block's unique name in the kernel."""
        return str(self.node.name_hint)

    @property
    def store(self) -> Any:
        """The statement that writes the result."""
        return self.node.body

    @property
    def axes(self) -> list[Any]:
        """Variables of the spatial axes, outermost first."""
        return [v.var for v in self.node.iter_vars if int(v.iter_type) == _SPATIAL]

    @property
    def extents(self) -> list[int]:
        """Sizes of the spatial axes."""
        return [int(v.dom.extent) for v in self.node.iter_vars if int(v.iter_type) == _SPATIAL]

    @property
    def reduce_axes(self) -> list[Any]:
        """Variables of the reduction axes."""
        return [v.var for v in self.node.iter_vars if int(v.iter_type) == _REDUCE]

    def strides(self, buffer: Any) -> list[int]:
        """Elements from one index to the next, for each axis of a buffer."""
        given = (steps for other, steps in self.strided if other.same_as(buffer))
        return next(given, dense_strides([int(size) for size in buffer.ty.shape]))

    @property
    def loads(self) -> list[Any]:
        """Every load the stage makes, its own accumulator left out."""
        found = collect(self.store.value, ir.TensorLoad)
        if self.kind == "reduction":
            found = [f for f in found if not f.source.same_as(self.store.buffer)]
        return found


def stages(sch: Any) -> list[Stage]:
    """All leaf blocks of the kernel, in program order."""
    root = sch.get_sblock("root")
    return [_stage(sch, block) for block in sch.get_child_blocks(root)]


def stage_of(sch: Any, block: Any) -> Stage:
    """The stage as it is now, after other stages were inlined into it."""
    return _stage(sch, block)


def collect(root: Any, kind: type) -> list[Any]:
    """All nodes of one type below `root`, in pre-order."""
    found: list[Any] = []
    tvm_ffi.structural_walk(root, (kind, found.append), order="pre")
    return found


def uses(expression: Any, var: Any) -> bool:
    """Whether the variable occurs in the expression."""
    return any(v.same_as(var) for v in collect(expression, ir.Var))


def touches(stage: Stage, buffer: Any) -> bool:
    """Whether the stage reads or writes the buffer."""
    read = (load.source for load in collect(stage.node.body, ir.TensorLoad))
    written = (store.buffer for store in collect(stage.node.body, tirx.BufferStore))
    return any(other.same_as(buffer) for other in (*read, *written))


def cost(expression: Any) -> int:
    """Floating-point operations of the expression, a rough price of computing it again."""
    nodes = collect(expression, ir.Expr)
    leaves = (ir.TensorLoad, ir.Constant, ir.Var)
    return sum(1 for n in nodes if not isinstance(n, leaves) and "float" in str(n.ty))


def _stage(sch: Any, block: Any) -> Stage:
    node = sch.get(block)
    notes = dict(node.annotations.items())
    return Stage(
        block=block,
        node=node,
        kind=_kind(node),
        template=str(notes.get("schedule", "")),
        rows=int(notes.get("rows", 0)),
        strided=tuple(strides_of(sch.mod["main"])),
        parameters=tuple(sch.mod["main"].params),
    )


def _kind(node: Any) -> str:
    if not isinstance(node.body, tirx.BufferStore) or isinstance(node, s_tir.SBlockRealize):
        return "opaque"
    kinds = {int(v.iter_type) for v in node.iter_vars}
    if kinds <= {_SPATIAL}:
        return "injective"
    return "reduction" if kinds <= {_SPATIAL, _REDUCE} and node.init is not None else "opaque"
