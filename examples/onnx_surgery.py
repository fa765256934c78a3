"""Edit an ONNX model before penjing reads it, and after penjing has written it."""

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import torch
from torch import nn

import penjing


def make_classifier() -> onnx.ModelProto:
    """Stands for a model that somebody gave us: features, and a head of ten classes."""
    layers = [nn.Conv2d(3, 16, 3, 2, 1), nn.Hardswish(), nn.Conv2d(16, 32, 3, 2, 1), nn.Hardswish()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10), nn.Softmax(1)]
    model = nn.Sequential(*layers, *head).eval()
    return penjing.trace(model, (torch.zeros(1, 3, 32, 32),)).to_onnx()


def cut_off_head(graph: gs.Graph) -> None:
    """Return what the last layer reads; what nothing needs any more goes away."""
    (last_layer,) = (node for node in graph.nodes if node.op == "Gemm")
    features = last_layer.inputs[0]
    features.name, features.dtype = "features", np.float32
    graph.outputs = [features]
    graph.cleanup().toposort()


def swap_activations(graph: gs.Graph) -> int:
    """Put ReLU in the place of every hard swish, which some devices lack."""
    found = [node for node in graph.nodes if node.op == "HardSwish"]
    for node in found:
        node.op = "Relu"
    return len(found)


def main() -> None:
    graph = gs.import_onnx(make_classifier())
    cut_off_head(graph)
    print(f"{swap_activations(graph)} activations swapped, {len(graph.nodes)} nodes left")

    image = torch.rand(1, 3, 32, 32)
    artifact = penjing.compile(graph, (image,), target="host", name="features")
    print(f"{artifact.run(image)[0].shape[1]} features")

    # The same program as ONNX again; afterwards it normalizes its features.
    written = gs.import_onnx(penjing.trace(graph, (image,)).to_onnx())
    (features,) = written.outputs
    normal = gs.Variable("unit_features", np.float32, features.shape)
    written.nodes.append(gs.Node("LpNormalization", "/norm", {"axis": 1}, [features], [normal]))
    written.outputs = [normal]
    unit = penjing.compile(gs.export_onnx(written), (image,), target="host", name="unit")
    print(f"length {np.linalg.norm(unit.run(image)[0]):.4f}")


if __name__ == "__main__":
    main()
