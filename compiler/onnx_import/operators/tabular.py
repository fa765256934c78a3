"""Operators on rows of features: counts of token sequences, scaling, linear models."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..arrays import as_tensor
from ..call import Call
from ..registry import onnx_op
from .gathering import places_of

ML = "ai.onnx.ml"
_POST_TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "NONE": lambda scores: scores,
    "LOGISTIC": torch.sigmoid,
    "SOFTMAX": lambda scores: torch.softmax(scores, -1),
}


@onnx_op("TfIdfVectorizer")
def count_sequences(call: Call) -> Tensor:
    """How often each of given short sequences occurs in a row of tokens, weighted or not."""
    if "pool_int64s" not in call.attributes:
        raise call.refused("sequences of strings")
    x, columns = call.tensor(0), np.array(call.needed("ngram_indexes"))
    mode = call.needed("mode")
    rows = x.reshape(-1, x.shape[-1])
    counts = torch.cat([_count(call, rows, grams) for grams in _sequences(call)], 1)
    if counts.shape[1] != len(columns) or mode not in {"TF", "IDF", "TFIDF"}:
        raise call.refused(f"{len(columns)} places for {counts.shape[1]} sequences, mode {mode!r}")
    if mode == "IDF":
        counts = torch.clamp(counts, max=1)
    found = counts.to(torch.float32)
    if mode != "TF" and "weights" in call.attributes:
        found = found * torch.tensor(call.needed("weights"), dtype=torch.float32)
    result = found.new_zeros(len(rows), int(columns.max()) + 1)
    result = result.index_add(1, as_tensor(columns), found)
    return result.reshape(*x.shape[:-1], -1)


def _sequences(call: Call) -> list[np.ndarray]:
    """The sequences that are counted, [count, length] for each length."""
    pool, starts = call.needed("pool_int64s"), call.needed("ngram_counts")
    ends = [*starts[1:], len(pool)]
    return [
        np.array(pool[start:end], np.int64).reshape(-1, length)
        for length, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]


def _count(call: Call, rows: Tensor, sequences: np.ndarray) -> Tensor:
    """How often each of the sequences [G, n] occurs, with equal gaps between its tokens: [N, G]."""
    n, size = sequences.shape[1], rows.shape[1]
    total = torch.zeros(len(rows), len(sequences), dtype=torch.int64)
    if not call.needed("min_gram_length") <= n <= call.needed("max_gram_length"):
        return total
    for gap in range(1, (call.needed("max_skip_count") if n > 1 else 0) + 2):
        firsts = np.arange(max(size - (n - 1) * gap, 0))
        places = as_tensor(firsts[:, None] + np.arange(n) * gap)
        same = rows[:, places][:, :, None].eq(as_tensor(sequences).to(rows.dtype))
        total = total + same.all(-1).sum(1)
    return total


@onnx_op("ArrayFeatureExtractor", domain=ML)
def extract_features(call: Call) -> Tensor:
    x = call.tensor(0)
    picked = torch.index_select(x, -1, places_of(call, 1, x.shape[-1]).reshape(-1))
    return picked if x.dim() > 1 else picked[None]


@onnx_op("Binarizer", domain=ML)
def binarize(call: Call) -> Tensor:
    x = call.tensor(0)
    return (x > call.attribute("threshold", 0.0)).to(x.dtype)


@onnx_op("Scaler", domain=ML)
def scale_features(call: Call) -> Tensor:
    return (_floats(call) - _numbers(call, "offset")) * _numbers(call, "scale")


@onnx_op("Normalizer", domain=ML)
def normalize_rows(call: Call) -> Tensor:
    """Rows divided by their largest element, or the sum or root of squares of all."""
    x, norm = _floats(call), call.attribute("norm", "MAX")
    if norm == "MAX":
        size = torch.amax(x, -1, keepdim=True)
    elif norm in {"L1", "L2"}:
        size = torch.linalg.vector_norm(x, int(norm[1]), -1, keepdim=True)
    else:
        raise call.refused(f"norm {norm!r}")
    return torch.where(size == 0, x, x / size)


@onnx_op("LinearRegressor", domain=ML)
def linear_regression(call: Call) -> Tensor:
    return _linear(call, call.attribute("targets", 1))


@onnx_op("LinearClassifier", domain=ML)
def linear_classification(call: Call) -> tuple[Tensor, Tensor]:
    """The label with the largest score, and the scores of all labels."""
    labels = call.attributes.get("classlabels_ints")
    if not labels:
        raise call.refused("labels that are strings")
    x = call.tensor(0)
    if len(call.needed("coefficients")) != len(labels) * x.shape[-1]:
        raise call.refused("coefficients that are not of each label")
    scores = _linear(call, len(labels))
    return torch.tensor(labels)[torch.argmax(scores, -1)], scores


def _linear(call: Call, count: int) -> Tensor:
    weight = torch.tensor(call.needed("coefficients"), dtype=torch.float32).reshape(count, -1)
    given = call.attributes.get("intercepts")
    bias = torch.tensor(given, dtype=torch.float32) if given else None
    return transformed(call, functional.linear(_floats(call), weight, bias))


def transformed(call: Call, scores: Tensor) -> Tensor:
    """The scores as the attribute `post_transform` wants them."""
    name = call.attribute("post_transform", "NONE")
    if name not in _POST_TRANSFORMS:
        raise call.refused(f"post_transform {name!r}")
    return _POST_TRANSFORMS[name](scores)


def _floats(call: Call) -> Tensor:
    return call.tensor(0).to(torch.float32)


def _numbers(call: Call, name: str) -> Tensor:
    return torch.tensor(call.needed(name), dtype=torch.float32)
