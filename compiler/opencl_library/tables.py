"""NAME_opencl.c: what the run time has to know about the model, as tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...targets.opencl.kernel import DeviceKernel
from ..errors import CompileError
from ..ir.tensor_spec import TensorSpec
from ..library.c_text import DTYPE_CODES, quote
from ..library.constants import Constants
from ..library.header import input_specs, output_specs
from ..lowering.program import Call, Lowered
from ..planning import MemoryPlan
from .source import DeviceSource
from .steps import Step, launches_of, steps_of

_PROGRAM = """\
static const program tables = {{
    .name = {name},
    .source = (const char *){symbol}_source,
    .source_bytes = {source_bytes},
    .options = {options},
    .extensions = {extensions},
    .hash = UINT64_C(0x{hash}),
    .weights = {weights},
    .weights_bytes = {weights_bytes},
    .arena_bytes = {arena_bytes},
    .local_bytes = {local_bytes},
    .launches = {launches},
    .arguments = {arguments},
    .results = {results},
    .copies = {copies},
    .launch_count = {launch_count},
    .argument_count = {argument_count},
    .result_count = {result_count},
    .copy_count = {copy_count},
    .call_count = {call_count},
    .input_bytes = {input_bytes},
    .output_bytes = {output_bytes},
    .input_count = {input_count},
    .output_count = {output_count},
    .input_dtypes = {input_dtypes},
    .output_dtypes = {output_dtypes},
    .cpu_supported = cpu_supported,
    .cpu_call = cpu_call,
    .cpu_run = cpu_run,
}};
"""


@dataclass(frozen=True)
class _Places:
    """The buffer that holds a value, and where in it the value begins."""

    lowered: Lowered
    plan: MemoryPlan
    constants: Constants

    def find(self, name: str) -> tuple[str, int, int]:
        """(enum place, which input or output, bytes from the start of that buffer)."""
        root = self.lowered.values[self.lowered.storage_of(name)]
        if name in self.plan.offsets:
            return "IN_ARENA", 0, self.plan.offsets[name]
        if name in self.plan.direct:
            return "IN_OUTPUT", self.plan.direct[name], 0
        if root.kind == "constant":
            return "IN_WEIGHTS", 0, self.constants.offsets[name]
        return "IN_INPUT", self.lowered.inputs.index(root.name), 0


def emit_tables(
    lowered: Lowered, plan: MemoryPlan, constants: Constants, source: DeviceSource
) -> str:
    """The tables of a program as C."""
    places = _Places(lowered, plan, constants)
    launches, arguments = _launches(lowered, places)
    steps = steps_of(lowered)
    results = [row for index, step in enumerate(steps) for row in _results(step, index, places)]
    copies = [_copy(name, output, places) for name, output in plan.copies]
    inputs = [spec for _, spec in input_specs(lowered)]
    outputs = [spec for _, spec in output_specs(lowered)]
    tables = {
        "launches": ("launch", launches),
        "arguments": ("argument", arguments),
        "results": ("result", results),
        "copies": ("copy", copies),
        "input_bytes": ("size_t", [str(spec.nbytes) for spec in inputs]),
        "output_bytes": ("size_t", [str(spec.nbytes) for spec in outputs]),
        "input_dtypes": ("uint8_t", [str(DTYPE_CODES[spec.dtype]) for spec in inputs]),
        "output_dtypes": ("uint8_t", [str(DTYPE_CODES[spec.dtype]) for spec in outputs]),
    }
    counts = {
        "launch_count": len(launches),
        "argument_count": len(arguments),
        "result_count": len(results),
        "copy_count": len(copies),
        "call_count": len(steps),
        "input_count": len(inputs),
        "output_count": len(outputs),
    }
    program = _PROGRAM.format(
        name=quote(lowered.name),
        symbol=lowered.name,
        source_bytes=len(source.text),
        options=quote(source.options),
        extensions=quote(" ".join(source.extensions)),
        hash=source.digest,
        weights=f"{lowered.name}_weights" if constants.data else "NULL",
        weights_bytes=len(constants.data),
        arena_bytes=plan.arena_bytes,
        local_bytes=max((launch.local_bytes for _, _, launch in launches_of(lowered)), default=0),
        **{name: f"model_{name}" if rows else "NULL" for name, (_, rows) in tables.items()},
        **counts,
    )
    parts = [_table(kind, f"model_{name}", rows) for name, (kind, rows) in tables.items()]
    return "\n".join([*filter(None, parts), program])


def _launches(lowered: Lowered, places: _Places) -> tuple[list[str], list[str]]:
    """Rows of the launches, and of their arguments one after the other."""
    launches: list[str] = []
    arguments: list[str] = []
    for index, step, launch in launches_of(lowered):
        cells = (
            quote(launch.function),
            _row(*launch.items),
            _row(*(launch.group or (0, 0, 0))),
            len(arguments),
            len(launch.arguments),
            index,
        )
        launches.append(_row(*cells))
        arguments += [_argument(step.call, step.kernel, at, places) for at in launch.arguments]
    return launches, arguments


def _argument(call: Call, kernel: DeviceKernel, position: int, places: _Places) -> str:
    """One pointer parameter; a scratch buffer has the element type that the device gives it."""
    name = call.arguments[position]
    place, index, start = places.find(name)
    scratch = position - len(call.reads) - len(call.writes)
    spec = places.lowered.values[name].spec
    dtype = spec.dtype if scratch < 0 else kernel.workspaces[scratch][1]
    size = TensorSpec((), dtype).nbytes
    element, rest = divmod(start, size)
    assert rest == 0, f"{name} begins inside an element of {dtype}"
    element += call.offsets[position] if call.offsets else 0
    if element >= 1 << 32:
        raise CompileError(
            "kernels for GPUs count the elements of a buffer with 32 bits",
            at=", ".join(filter(None, call.modules)),
            got=f"a value that begins at element {element}",
            fix="store weights in fewer bits, or split the model",
        )
    return _row(place, index, element)


def _results(step: Step, index: int, places: _Places) -> Iterator[str]:
    """What a step writes: whole values, the borders around them included."""
    for name in dict.fromkeys(name for call in step.calls for name in call.writes):
        spec = places.lowered.values[name].spec
        if spec.nbytes:
            place, which, start = places.find(name)
            yield _row(index, place, which, start, spec.nbytes, DTYPE_CODES[spec.dtype])


def _copy(name: str, output: int, places: _Places) -> str:
    """An output that is copied after the last call; all counts are of bytes."""
    return _row(_row(*places.find(name)), output, places.lowered.values[name].spec.nbytes)


def _table(kind: str, name: str, rows: Sequence[str]) -> str:
    """A C array, or nothing: C has no arrays without elements."""
    if not rows:
        return ""
    body = "".join(f"    {row},\n" for row in rows)
    return f"static const {kind} {name}[] = {{\n{body}}};\n"


def _row(*cells: object) -> str:
    return f"{{{', '.join(map(str, cells))}}}"
