"""Text of micro-kernels for cores with vectors (MVE), and what all of them use.

They are C with the intrinsics of arm_mve.h; a vector is 16 int8, or 4 int32.
"""

from .assembly import body_text
from .layer import MicroKernel

LANES = 16  # int8 in a vector
WORDS = 4  # int32 in a vector
HAS_VECTORS = "defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)"


def vector_kernel(
    name: str, comment: str, signature: str, *, vectors: str, portable: str
) -> MicroKernel:
    """A micro-kernel with vectors, and in C99 for other cores.

    Args:
        name: Of the function.
        comment: What it does, in a line.
        signature: "void name(const int8_t *x, ...)".
        vectors: The body where there is MVE.
        portable: The body elsewhere.
    """
    lines = [f"/* {comment} */", f"static inline {signature}", "{", f"#if {HAS_VECTORS}"]
    lines += [body_text(vectors), "#else", body_text(portable), "#endif", "}", ""]
    return MicroKernel(name, "\n".join(lines))


COPY_BYTES = vector_kernel(
    "copy_bytes",
    "Copy between memory that does not overlap.",
    "void copy_bytes(int8_t *to, const int8_t *from, int32_t bytes)",
    vectors="""
        for (; bytes > 0; bytes -= 16, to += 16, from += 16) {
            const mve_pred16_t inside = vctp8q((uint32_t)bytes);
            vstrbq_p_s8(to, vldrbq_z_s8(from, inside), inside);
        }
    """,
    portable="memcpy(to, from, (size_t)bytes);",
)

FILL_BYTES = vector_kernel(
    "fill_bytes",
    "Set memory to a value.",
    "void fill_bytes(int8_t *to, int32_t value, int32_t bytes)",
    vectors="""
        const int8x16_t values = vdupq_n_s8((int8_t)value);
        for (; bytes > 0; bytes -= 16, to += 16)
            vstrbq_p_s8(to, values, vctp8q((uint32_t)bytes));
    """,
    portable="memset(to, value, (size_t)bytes);",
)


def requantized(shift: int, zero_point: int, low: int, high: int) -> str:
    """Statements that make results of `sum`, four int32, with their multipliers in `scale`.

    VQSHL saturates to another number than docs/quantization.md where sums overflow; both are so
    large that the result is at its limit whichever is multiplied.
    """
    moved = ""
    if shift > 0:
        moved = f"sum = vqshlq_n_s32(sum, {shift});\n"
    elif shift < 0:
        moved = f"sum = vshrq_n_s32(sum, {-shift});\n"
    return (
        f"{moved}sum = vqaddq_n_s32(vqrdmulhq_s32(sum, scale), {zero_point});\n"
        f"sum = vminq_s32(vmaxq_s32(sum, vdupq_n_s32({low})), vdupq_n_s32({high}));"
    )
