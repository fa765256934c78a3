"""What other runtimes execute for the same networks: the numbers to beat.

Instructions of one warm inference under QEMU's user-mode emulator, on one thread, believing to be
on a Cortex-A72, or for int8 (each tool's own static quantization) also on an A76. Counted in 2026
by the same plugin between marking system calls, the second of two runs after loading, with ncnn
1.0.20261020, MNN 3.6.1, ai-edge-litert 2.3.0, ExecuTorch 1.5 with XNNPACK, OpenVINO 2026.4,
onnxruntime 1.31.1 and their aarch64 packages.
"""

RUNTIMES: tuple[str, ...] = ("ncnn", "MNN", "LiteRT", "ExecuTorch", "OpenVINO", "onnxruntime")

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


# The same for int8: onnxruntime (of its MiniLM with dynamic quantization, which is faster) and
# ExecuTorch, on the A72 and on the A76.
_INT8_RUNTIMES: tuple[str, ...] = ("onnxruntime", "ExecuTorch")
_INT8_MILLIONS: dict[str, dict[str, tuple[float | None, ...]]] = {
    "arm-a72": {
        "mobilenet_v2_int8": (120.1, 115.9),
        "resnet18_int8": (576.9, 579.9),
        "resnet50_int8": (None, 1208),
        "minilm_int8": (431.1, 492.6),
        "ds_cnn_int8": (1.444, 1.979),
        "resnet8_int8": (5.337, 4.382),
    },
    "arm-a76": {
        "mobilenet_v2_int8": (64.5, 51.3),
        "resnet18_int8": (200.1, 172.7),
        "resnet50_int8": (450.7, 380),
        "minilm_int8": (222.9, 213.6),
        "ds_cnn_int8": (0.975, 0.750),
        "resnet8_int8": (3.126, 1.549),
    },
}


def best_peer(network: str, target: str) -> tuple[str, int] | None:
    """The runtime that executes the fewest instructions, and how many; None = not counted."""
    runtimes, counts = _INT8_RUNTIMES, _INT8_MILLIONS.get(target, {}).get(network)
    if target == "arm-a72" and network in _MILLIONS:
        runtimes, counts = RUNTIMES, _MILLIONS[network]
    if counts is None:
        return None
    return min(
        (
            (runtime, round(count * 1e6))
            for runtime, count in zip(runtimes, counts, strict=True)
            if count is not None
        ),
        key=lambda pair: pair[1],
    )
