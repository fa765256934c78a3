"""NAME.h: the C interface of a compiled model, for C and C++."""

from ..ir.tensor_spec import TensorSpec
from ..lowering.program import Lowered
from ..planning import ARENA_ALIGN
from .c_text import DTYPE_CODES, DTYPE_NAMES, comment, quote

ABI_VERSION = 1

# What NAME_run returns: (enumerator, code, meaning).
STATUSES = (
    ("PENJING_OK", 0, "done"),
    ("PENJING_NULL_INPUT", 1, "inputs, or one of its entries, is NULL"),
    ("PENJING_NULL_OUTPUT", 2, "outputs, or one of its entries, is NULL"),
    ("PENJING_NULL_ARENA", 3, "arena is NULL"),
    ("PENJING_SMALL_ARENA", 4, "arena_bytes is less than the model needs"),
    ("PENJING_MISALIGNED_ARENA", 5, "arena is not aligned to NAME_ARENA_ALIGN"),
    ("PENJING_MISALIGNED_INPUT", 6, "an input is not aligned as the header says"),
    ("PENJING_MISALIGNED_OUTPUT", 7, "an output is not aligned as the header says"),
    ("PENJING_OVERLAP", 8, "an output or the arena overlaps another buffer"),
    ("PENJING_WRONG_WEIGHTS", 9, "the weights file belongs to another model"),
)

_SHARED = """\
#ifndef PENJING_ABI /* the part that all compiled models share */
#define PENJING_ABI {abi}

/* What NAME_run returns. Unless it is PENJING_OK, no buffer has been touched. */
enum penjing_status {{
{statuses}
}};

enum penjing_dtype {{
{dtypes}
}};

typedef struct penjing_tensor {{
    const char *name;
    const int64_t *shape; /* rank sizes; elements are stored densely, the last axis first */
    int32_t rank;
    int32_t dtype;        /* enum penjing_dtype */
    size_t element_bytes; /* also the alignment that the buffer needs */
    size_t bytes;
}} penjing_tensor;

typedef struct penjing_model {{
    const char *name;
    const char *target;  /* the CPU it was compiled for */
    const char *version; /* of the compiler */
    size_t arena_bytes;
    size_t arena_align;
    size_t weights_bytes; /* of the separate weights file; 0 = the weights are in the library */
    int32_t input_count;
    int32_t output_count;
    const penjing_tensor *inputs;
    const penjing_tensor *outputs;
}} penjing_model;

#elif PENJING_ABI != {abi}
#error "this header and one included before it come from incompatible versions of penjing"
#endif
"""

_FUNCTIONS = """\
#ifdef __cplusplus
extern "C" {{
#endif

/*
 * Runs the model once.
 *
 * inputs       {PREFIX}_INPUT_ENTRIES pointers to the buffers described below
 * outputs      {PREFIX}_OUTPUT_COUNT pointers to the buffers that receive the results
 * arena        scratch memory, aligned to {PREFIX}_ARENA_ALIGN; its content means nothing
 *              before and after the call
 * arena_bytes  its size, at least {PREFIX}_ARENA_BYTES
 *
 * No output may overlap an input, another output or the arena. Nothing is allocated and nothing
 * is kept between calls, so threads may run at once, each with its own outputs and arena.
 */
int {name}_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes);

/* The facts of this header, for programs that load the library at run time. */
const penjing_model *{name}_describe(void);
{threads}
#ifdef __cplusplus
}}
#endif
"""

_THREADS = """
/*
 * How many threads {name}_run may use, the caller's included; 1 until this is called, which starts
 * or stops the workers. Returns the number that really runs. All callers of {name}_run share them:
 * a call that finds the workers busy runs on its own thread alone. Call it with 1 before
 * the library is unloaded.
 */
int {name}_set_threads(int threads);
"""


def emit_header(lowered: Lowered, *, arena_bytes: int, weights_file: int, version: str) -> str:
    """The text of NAME.h.

    Args:
        lowered: The program.
        arena_bytes: From the memory plan.
        weights_file: Bytes of the separate weights file, 0 if the weights are embedded.
        version: Of the compiler.
    """
    name, prefix = lowered.name, lowered.name.upper()
    inputs, outputs = input_specs(lowered), output_specs(lowered)
    entries = len(inputs) + (weights_file > 0)
    lines = [
        *opening(name, lowered.target.name, version),
        f"#define {prefix}_ARENA_BYTES {arena_bytes}u",
        f"#define {prefix}_ARENA_ALIGN {ARENA_ALIGN}u",
        f"#define {prefix}_INPUT_COUNT {len(inputs)}",
        f"#define {prefix}_OUTPUT_COUNT {len(outputs)}",
        f"#define {prefix}_INPUT_ENTRIES {entries} /* length of the inputs array */",
    ]
    if weights_file:
        lines += [
            "",
            f"/* The last entry of inputs is the content of {name}.weights, mapped or read into",
            f" * memory that is aligned to {ARENA_ALIGN} bytes. */",
            f"#define {prefix}_WEIGHTS_BYTES {weights_file}u",
        ]
    lines += tensor_macros(lowered)
    threads = _THREADS.format(name=name) if lowered.threads > 1 else ""
    functions = _FUNCTIONS.format(name=name, PREFIX=prefix, threads=threads)
    return "\n".join([*lines, "", functions, "#endif", ""])


def opening(name: str, target: str, version: str) -> list[str]:
    """How every NAME.h begins: the guard that its last line ends, and what all models share."""
    guard = f"PENJING_MODEL_{name.upper()}_H"
    return [
        f"/* {name} for {comment(target)}, generated by penjing {version}. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        shared_declarations(),
    ]


def input_specs(lowered: Lowered) -> list[tuple[str, TensorSpec]]:
    """Name and spec of every input, in order."""
    names = lowered.input_names or lowered.inputs
    return [(n, lowered.values[v].spec) for n, v in zip(names, lowered.inputs, strict=True)]


def output_specs(lowered: Lowered) -> list[tuple[str, TensorSpec]]:
    """Name and spec of every output, in order."""
    names = lowered.output_names or lowered.outputs
    return [(n, lowered.values[v].spec) for n, v in zip(names, lowered.outputs, strict=True)]


def shared_declarations() -> str:
    """The part of NAME.h that is the same for every model: status codes, dtypes, descriptions."""
    last = STATUSES[-1]
    statuses = [
        f"    {status[0]} = {status[1]}{'' if status is last else ','} /* {status[2]} */"
        for status in STATUSES
    ]
    dtypes = [f"    {DTYPE_NAMES[dtype]} = {code}" for dtype, code in DTYPE_CODES.items()]
    return _SHARED.format(abi=ABI_VERSION, statuses="\n".join(statuses), dtypes=",\n".join(dtypes))


def tensor_macros(lowered: Lowered) -> list[str]:
    """What NAME.h says about every input and output."""
    lines: list[str] = []
    for kind, tensors in (("INPUT", input_specs(lowered)), ("OUTPUT", output_specs(lowered))):
        for index, (label, spec) in enumerate(tensors):
            prefix = f"{lowered.name.upper()}_{kind}{index}"
            lines += ["", *_macros_of(prefix, label, spec)]
    return lines


def _macros_of(prefix: str, name: str, spec: TensorSpec) -> list[str]:
    shape = [f"#define {prefix}_SHAPE {{{', '.join(map(str, spec.shape))}}}"] if spec.shape else []
    return [
        f"/* {comment(name)}: {spec} */",
        f"#define {prefix}_NAME {quote(name)}",
        f"#define {prefix}_DTYPE {DTYPE_NAMES[spec.dtype]}",
        f"#define {prefix}_RANK {len(spec.shape)}",
        *shape,
        f"#define {prefix}_ELEMENTS {spec.size}u",
        f"#define {prefix}_BYTES {spec.nbytes}u",
    ]
