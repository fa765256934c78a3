"""NAME.h of a model for a GPU: the session that owns the device, and the tensors it takes."""

import re
from pathlib import Path

from ..library.header import opening, tensor_macros
from ..lowering.program import Lowered

RUNTIME = Path(__file__).parent / "runtime"

_FUNCTIONS = """\
#ifdef __cplusplus
extern "C" {{
#endif

/*
 * Finds a device, compiles the kernels for it and copies the weights to it. Where that fails the
 * model runs on the CPU, unless the configuration says otherwise; {name}_message says why.
 *
 * config   NULL: the default; it is copied
 * session  receives the session, or NULL
 *
 * Returns PENJING_OK, or a number of enum penjing_gpu_status.
 */
int {name}_create(const penjing_config *config, penjing_session **session);

/*
 * Runs the model once.
 *
 * inputs   {PREFIX}_INPUT_COUNT pointers to the buffers described below
 * outputs  {PREFIX}_OUTPUT_COUNT pointers to the buffers that receive the results
 *
 * No output may overlap an input or another output. Threads may run at once, each with a session
 * of its own; those that share one wait for each other.
 */
int {name}_run(penjing_session *session, const void *const *inputs, void *const *outputs);

/* Frees everything; NULL is allowed. */
void {name}_destroy(penjing_session *session);

/* What went wrong last, or why the CPU is used; "" if nothing. With NULL: of the last
 * {name}_create of this thread that failed. */
const char *{name}_message(const penjing_session *session);

/* "cpu", or the name, version and driver of the device. */
const char *{name}_device(const penjing_session *session);

/* 1 if a device runs the model, 0 if the CPU does. */
int {name}_on_device(const penjing_session *session);

/* Runs the model once and takes the time of every launch: returns how many it has, of which the
 * first `count` are written to `times`. On the CPU there are none. A status is negative. */
int {name}_profile(penjing_session *session, const void *const *inputs, void *const *outputs,
{indent}penjing_time *times, uint32_t count);

/* The facts of this header, for programs that load the library at run time. */
const penjing_model *{name}_describe(void);

#ifdef __cplusplus
}}
#endif
"""


def emit_header(lowered: Lowered, *, arena_bytes: int, launches: int, version: str) -> str:
    """The text of NAME.h.

    Args:
        lowered: The program.
        arena_bytes: From the memory plan.
        launches: Of one inference.
        version: Of the compiler.
    """
    name, prefix = lowered.name, lowered.name.upper()
    lines = [
        *opening(name, lowered.target.name, version),
        gpu_declarations(),
        f"#define {prefix}_ARENA_BYTES {arena_bytes}u /* on the device, allocated by a session */",
        f"#define {prefix}_LAUNCHES {launches}u /* of one inference on a device */",
        f"#define {prefix}_INPUT_COUNT {len(lowered.inputs)}",
        f"#define {prefix}_OUTPUT_COUNT {len(lowered.outputs)}",
        *tensor_macros(lowered),
    ]
    indent = " " * len(f"int {name}_profile(")
    functions = _FUNCTIONS.format(name=name, PREFIX=prefix, indent=indent)
    return "\n".join([*lines, "", functions, "#endif", ""])


def gpu_declarations() -> str:
    """The part of NAME.h that all models for GPUs share, as the run time declares it."""
    text = (RUNTIME / "session.h").read_text()
    found = re.search(r"#ifndef PENJING_GPU\b.*?\n#endif\n", text, re.DOTALL)
    assert found, "session.h declares no PENJING_GPU"
    return found[0]
