"""Recurrent layers and attention against the node tests of the onnx package."""

from .node_cases import NodeCase, parametrize, run_case


@parametrize(
    "LSTM",
    "GRU",
    "RNN",
    "Attention",
    "RotaryEmbedding",
    "CausalConvWithState",
    "LinearAttention",
)
def test_node_case(case: NodeCase) -> None:
    run_case(case)
