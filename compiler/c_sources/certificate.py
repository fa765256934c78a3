"""What a model needs of a microcontroller, as macros of its header."""

from ..manifest import Sizes


def certificate_macros(name: str, sizes: Sizes) -> str:
    """The lines of NAME.h that say how much memory the model needs, and how much it computes."""
    prefix = name.upper()
    return "\n".join(
        [
            "/* What the model needs: RAM beside inputs and outputs, flash for weights. */",
            f"#define {prefix}_ARENA_BYTES {sizes.arena_bytes}u",
            f"#define {prefix}_WEIGHTS_BYTES {sizes.weights_bytes}u",
            f"#define {prefix}_MACS {sizes.macs}u",
        ]
    )
