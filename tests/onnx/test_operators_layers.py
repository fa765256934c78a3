"""Convolutions, pooling, norms and products against the node tests of the onnx package."""

from .node_cases import NodeCase, parametrize, run_case


@parametrize(
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxUnpool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "LRN",
    "MeanVarianceNormalization",
    "LpNormalization",
    "MatMul",
    "Gemm",
    "Einsum",
    "Det",
    "Softmax",
    "LogSoftmax",
    "Hardmax",
    "NegativeLogLikelihoodLoss",
    "SoftmaxCrossEntropyLoss",
)
def test_node_case(case: NodeCase) -> None:
    run_case(case)
