"""Every model of the zoo, pruned at random: as its weights set to 0, and compiled."""

from functools import cache

import numpy as np
import pytest
import torch

import penjing
from penjing.compiler.coupling import analyze
from penjing.compiler.ir.program import Program
from tests.coupling.harness import (
    TOLERANCE,
    assert_pruned_like_masked,
    prune_randomly,
    reasons,
    summary,
    traced,
)
from tests.zoo import ZOO, make

USUALLY = (
    "own_mobilenet_v2",
    "own_dense_cnn",
    "own_se_cnn",
    "own_unet",
    "own_tcn",
    "own_transformer",
    "bert",
    "gpt2",
    "llama",
    "t5_encoder",
    "swin",
    "vit",
)
# Their states are outputs.
NOTHING = ("own_lstm", "own_gru", "own_rnn", "own_bidirectional_lstm")
RATIOS = (0.25, 0.5, 0.75)


@cache
def program_of(name: str) -> tuple[Program, list[torch.Tensor]]:
    """A model of the zoo and its inputs; not to be changed."""
    return traced(*make(name))


@pytest.mark.parametrize("name", USUALLY)
def test_half_of_a_model(name: str) -> None:
    program, inputs = program_of(name)
    pruned = prune_randomly(program, 0.5)
    assert pruned.keep
    assert_pruned_like_masked(pruned, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", ZOO)
def test_part_of_a_model(name: str, ratio: float) -> None:
    program, inputs = program_of(name)
    pruned = prune_randomly(program, ratio, seed=int(100 * ratio))
    assert bool(pruned.keep) == (name not in NOTHING)
    assert_pruned_like_masked(pruned, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", ["bert", "llama", "swin", "phi3", "mobilevit", "squeezebert"])
def test_part_of_each_head(name: str, ratio: float) -> None:
    program, inputs = program_of(name)
    pruned = prune_randomly(program, ratio, seed=int(100 * ratio), attention="head_dim")
    assert "head_dim" in [group.kind for group in pruned.coupling.groups]
    assert_pruned_like_masked(pruned, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "vit", "convnext", "poolformer", "albert"])
def test_hidden_width_through_norms(name: str) -> None:
    program, inputs = program_of(name)
    pruned = prune_randomly(program, 0.5, through_norms=True)
    inexact = [group.kind for group in pruned.coupling.groups if not group.exact]
    assert set(inexact) == {"hidden"}
    with torch.no_grad():
        results = pruned.program.run_flat(*inputs)
        assert all(result.isfinite().all() for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ZOO if name not in NOTHING])
def test_each_group_of_a_model(name: str) -> None:
    program, inputs = program_of(name)
    for group in analyze(program).groups:
        pruned = prune_randomly(program, 0.5, only=group.name)
        # One channel of an SE gate moves the outputs of EfficientNet by 6e-4.
        assert_pruned_like_masked(pruned, inputs, effect=3 * TOLERANCE)


@pytest.mark.parametrize("name", NOTHING)
def test_models_of_which_nothing_can_be_pruned_say_why(name: str) -> None:
    coupling = analyze(program_of(name)[0])
    assert summary(coupling) == []
    assert reasons(coupling) == dict.fromkeys(("layer", "fc"), "it is an output of the program")


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_pruned_model_compiles(name: str) -> None:
    program, inputs = program_of(name)
    pruned = prune_randomly(program, 0.5).program
    artifact = penjing.compile(pruned, target="host")
    with torch.no_grad():
        expected = pruned.run_flat(*inputs)
    for result, wanted in zip(artifact.run(*inputs), expected, strict=True):
        largest = float(wanted.abs().max())
        error = np.abs(result.astype(np.float64) - wanted.double().numpy()).max()
        assert error <= TOLERANCE * largest
