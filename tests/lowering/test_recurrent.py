"""Recurrent layers against torch."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError

from .harness import build, check
from .samples import FEW, random, weight

aten = torch.ops.aten
OPS = {
    "LSTM": aten.lstm.input,
    "GRU": aten.gru.input,
    "tanh": aten.rnn_tanh.input,
    "relu": aten.rnn_relu.input,
}


def arguments(
    kind: str,
    *,
    sizes: tuple[int, int] = (5, 9),
    layers: int = 1,
    bias: bool = True,
    bidirectional: bool = False,
    projection: int = 0,
    constant: bool = True,
    batch: int = 2,
    time: int = 5,
    batch_first: bool = False,
    dtype: torch.dtype = torch.float32,
) -> list[Any]:
    """Arguments of the op for weights of the size that torch initializes them with."""
    inputs, hidden = sizes
    ways = 2 if bidirectional else 1
    gates = {"LSTM": 4, "GRU": 3}.get(kind, 1)
    size = projection or hidden
    params = []
    for place in range(layers * ways):
        read = inputs if place < ways else size * ways
        shapes: list[tuple[int, ...]] = [(gates * hidden, read), (gates * hidden, size)]
        shapes += [(gates * hidden,)] * (2 * bias) + [(projection, hidden)] * (projection > 0)
        params += [random(*shape, dtype=dtype) / hidden**0.5 for shape in shapes]
    x = random(*((batch, time) if batch_first else (time, batch)), inputs, dtype=dtype)
    h = random(layers * ways, batch, size, dtype=dtype)
    c = random(layers * ways, batch, hidden, dtype=dtype)
    hx = [h, c] if kind == "LSTM" else h
    weights = [weight(tensor, constant) for tensor in params]
    return [x, hx, weights, bias, layers, 0.0, False, bidirectional, batch_first]


@FEW
@given(
    kind=st.sampled_from(list(OPS)),
    sizes=st.tuples(st.sampled_from([1, 3, 8]), st.sampled_from([1, 3, 7, 8, 9, 16, 17, 33, 40])),
    layers=st.sampled_from([1, 1, 2]),
    bias=st.booleans(),
    bidirectional=st.booleans(),
    constant=st.booleans(),
    batch=st.sampled_from([1, 2, 3]),
    time=st.sampled_from([1, 2, 5]),
    batch_first=st.booleans(),
)
def test_layers(kind: str, **options: Any) -> None:
    check(OPS[kind], *arguments(kind, **options), atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_projected_lstm(bias: bool, bidirectional: bool) -> None:
    args = arguments(
        "LSTM", sizes=(5, 19), layers=2, bias=bias, bidirectional=bidirectional, projection=3
    )
    check(aten.lstm.input, *args, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_other_floats(kind: str, dtype: torch.dtype) -> None:
    atol = 8 * torch.finfo(dtype).eps  # torch rounds every intermediate result
    check(OPS[kind], *arguments(kind, dtype=dtype), atol=atol)


def test_long_sequence_stays_a_loop() -> None:
    function, _, _ = build(aten.gru.input, *arguments("GRU", time=512))
    assert len(str(function)) < 40_000


def test_dropout_is_refused() -> None:
    args = arguments("GRU", layers=2)
    args[5:7] = 0.5, True
    with pytest.raises(CompileError, match="dropout"):
        build(aten.gru.input, *args)
