"""What other runtimes execute for the same networks: the numbers to beat.

Instructions of one warm inference in float32 under QEMU's user-mode emulator, on one thread,
believing to be on a Cortex-A72. Counted in 2026 by the same plugin between marking system calls,
the second of two runs after loading, with ncnn 1.0.20261020, MNN 3.6.1, ai-edge-litert 2.3.0,
ExecuTorch 1.5 with XNNPACK, OpenVINO 2026.4, onnxruntime 1.31.1 and their aarch64 packages.
"""

RUNTIMES = ("ncnn", "MNN", "LiteRT", "ExecuTorch", "OpenVINO", "onnxruntime")

# Millions, in the order of RUNTIMES. None: it could not run the network, or was not counted.
_MILLIONS: dict[str, tuple[float | None, ...]] = {
    "mobilenet_v2": (101.2, 110.3, 124.0, 124.3, 126.8, 180.7),
    "resnet18": (239.4, 267.2, 666.2, 666.0, None, 665.7),
    "resnet50": (910.0, 921.3, 1460, 1462, None, 1423),
    "minilm": (494.0, 507.2, 517.4, 535.3, None, 508.1),
    "gpt2_decode": (None, 104.6, 74.6, None, None, 67.3),
    "ds_cnn": (1.142, 1.435, 1.434, 1.436, None, 3.000),
    "resnet8": (3.145, 3.071, 4.917, 4.946, None, 6.509),
}


def best_peer(network: str, target: str) -> tuple[str, int] | None:
    """The runtime that executes the fewest instructions, and how many; None = not counted."""
    if target != "arm-a72" or network not in _MILLIONS:
        return None
    counts = zip(RUNTIMES, _MILLIONS[network], strict=True)
    return min(
        ((runtime, round(count * 1e6)) for runtime, count in counts if count is not None),
        key=lambda pair: pair[1],
    )
