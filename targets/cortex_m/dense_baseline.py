"""The inner loop of dense layers for Armv6-M, the Cortex-M0+: two pixels of a pair of channels.

Compilers find no use for r8 to r11 there. Here they hold the four sums: ADD takes high registers,
and nothing else has to. One index walks along the weights and both windows. A product takes three
and a half instructions, about half of what compilers make of the same loop.
"""

from .dense_window import Window
from .instructions import IS_DSP, Code, Copies, Repeat, definition
from .layer import MicroKernel

_BASELINE = "defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)"
_UNROLLED = 4
_FACTOR = (
    "ldrsh r4, [r1, r3]",
    "sxtb r5, r4",
    "ldrsh r6, [r0, r3]",
    "mov r7, r4",
    "muls r7, r6, r7",
    "add r8, r8, r7",
    "muls r6, r5, r6",
    "add r9, r9, r6",
    "ldrsh r6, [r2, r3]",
    "muls r4, r6, r4",
    "add r10, r10, r4",
    "muls r6, r5, r6",
    "add r11, r11, r6",
    "adds r3, r3, #2",
)


def products_name(window: Window) -> str:
    """Of the function for the pieces of a window."""
    return f"add_products_{window.length}_step{window.pixel}"


def products_kernel(window: Window) -> MicroKernel:
    """void name(x, w, sums): adds a piece to the sums of two pixels, [pixel][channel]."""
    name = products_name(window)
    parameters = ("const int16_t *x", "const int16_t *w", "uint32_t *sums")
    portable = f"""
    uint32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3];
    for (int32_t i = 0; i < {window.length}; ++i) {{
        const int32_t both = w[i], second = (int8_t)both;
        const int32_t x0 = x[i], x1 = x[i + {window.pixel}];
        sum0 += (uint32_t)(x0 * both);
        sum1 += (uint32_t)(x0 * second);
        sum2 += (uint32_t)(x1 * both);
        sum3 += (uint32_t)(x1 * second);
    }}
    sums[0] = sum0, sums[1] = sum1, sums[2] = sum2, sums[3] = sum3;
"""
    comment = f"Adds {window.length} products to the sums of two channels of two pixels."
    code = _code(window)
    text = definition(comment, name, parameters, code, portable, condition=_BASELINE)
    # cores with the DSP extension do not call it
    return MicroKernel(name, f"#if !({IS_DSP})\n{text}#endif\n")


def _code(window: Window) -> Code:
    """Registers: r0 and r2 the windows, r1 weights, r3 the index, r12 its end, r8 to r11 sums."""
    high, low = ("r8", "r9", "r10", "r11"), ("r4", "r5", "r6", "r7")
    save = [f"mov {a}, {b}" for a, b in zip(low, high, strict=True)]
    load = [f"mov {b}, {a}" for a, b in zip(low, high, strict=True)]
    turn = ("cmp r3, r12", "bne 1b")
    return [
        ".syntax unified",
        "push {r4-r7, lr}",
        *save,
        "push {r2, r4-r7}",
        "ldm r2!, {r4-r7}",
        *load,
        *_number("r2", 2 * window.pixel),
        "add r2, r2, r0",
        *_number("r3", 2 * window.length),
        "mov r12, r3",
        "movs r3, #0",
        Repeat(1, window.length // _UNROLLED, (Copies(_UNROLLED, _FACTOR), *turn)),
        *save,
        "pop {r2}",
        "stm r2!, {r4-r7}",
        "pop {r4-r7}",
        *load,
        "pop {r4-r7}",
        "pop {r3}",
        "mov lr, r3",
    ]


def _number(register: str, value: int) -> list[str]:
    """A number below 2^16 in a register."""
    if value < 256:
        return [f"movs {register}, #{value}"]
    high, low = divmod(value, 256)
    return [f"movs {register}, #{high}", f"lsls {register}, {register}, #8",
            f"adds {register}, {register}, #{low}"]  # fmt: skip
