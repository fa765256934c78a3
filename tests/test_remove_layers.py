"""Layers are removed exactly, by every score, and what is left is healed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_report import PassReport
from penjing.passes import PruneChannels, RemoveLayers
from penjing.passes.blocks.find_blocks import find_blocks
from penjing.passes.blocks.removal import remove_block
from tests.zoo import call, make, tensors_of


def data(program: Program, batches: int = 4, times: int = 4) -> list[tuple[Tensor, ...]]:
    """Random inputs; a mask hides the last positions."""
    generator = torch.Generator().manual_seed(0)

    def draw(name: str, spec: TensorSpec) -> Tensor:
        shape = (spec.shape[0] * times, *spec.shape[1:])
        if spec.dtype == "float32":
            return torch.randn(shape, generator=generator)
        if "mask" in name:
            mask = torch.ones(shape, dtype=spec.torch_dtype)
            mask[..., -3:] = 0
            return mask
        return torch.randint(3, 60, shape, generator=generator)

    pairs = list(zip(program.input_names, program.inputs, strict=True))
    return [tuple(draw(*pair) for pair in pairs) for _ in range(batches)]


def removed(name: str, **options: Any) -> tuple[Program, Program, PassReport]:
    """The program before and after, and the report."""
    program = trace(*make(name))
    changed = optimize(program, [RemoveLayers(**options)], calibration=data(program))
    return program, changed, changed.reports[-1]


def sequence(*layers: nn.Module, width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, width), *layers, nn.Linear(width, 3)).eval()


class Residual(nn.Module):
    def __init__(self, width: int, strength: float) -> None:
        super().__init__()
        self.norm, self.up = nn.LayerNorm(width), nn.Linear(width, 16)
        self.down, self.strength = nn.Linear(16, width), strength

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.down(self.up(self.norm(x)).relu())
        return x + self.strength * branch


def residual_net(*strengths: float) -> tuple[nn.Module, Program, list[Tensor]]:
    """Blocks that change their input as much as they are strong; calibration data."""
    model = sequence(*(Residual(8, strength) for strength in strengths))
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(32, 4, generator=generator) for _ in range(6)]
    return model, trace(model, (batches[0][:1],)), batches


@pytest.mark.parametrize("name", ["gpt2", "vit", "convnext", "mobilenet_v2", "llama"])
def test_removal_equals_a_branch_of_zeros(name: str) -> None:
    program = trace(*make(name))
    inputs = program.flatten_inputs(*_arguments(make(name)[1]))
    for index, block in enumerate(find_blocks(program)):
        if len(block.parts) > 1:
            continue
        shorter, zeroed = program.copy(), program.copy()
        remove_block(shorter, find_blocks(shorter)[index])
        _zero_branch(zeroed, index)
        with torch.no_grad():
            pairs = zip(shorter.run_flat(*inputs), zeroed.run_flat(*inputs), strict=True)
        for got, wanted in pairs:
            torch.testing.assert_close(got, wanted, rtol=0, atol=0)


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((), inputs) if isinstance(inputs, dict) else (tuple(inputs), {})


def _zero_branch(program: Program, index: int) -> None:
    block = find_blocks(program)[index]
    branch = next(node for node in block.sum.all_input_nodes if node is not block.entry)
    with program.graph.inserting_before(block.sum):
        nothing = program.graph.call_function(torch.ops.aten.mul.Tensor, (branch, 0.0))
    nothing.meta = dict(branch.meta)
    block.sum.replace_input_with(branch, nothing)


def test_the_program_without_a_layer_is_the_model_without_it() -> None:
    model, program, batches = residual_net(1.0, 0.1, 2.0)
    changed = optimize(
        program, "remove-layers{count=1,score=influence,heal=false}", calibration=batches
    )
    assert isinstance(model, nn.Sequential)
    shorter = nn.Sequential(model[0], model[1], model[3], model[4])
    with torch.no_grad():
        torch.testing.assert_close(changed.run(batches[0][:1]), shorter(batches[0][:1]))
    assert not any(name.startswith("2.") for name in changed.weights)
    report = changed.reports[-1]
    assert report.rewrites == 1
    assert report.details["removable"] == ["1", "2", "3"]
    (row,) = report.details["rounds"]
    assert row["removed"] == "2"
    assert report.before and report.after
    assert report.before.macs - report.after.macs == row["macs_removed"] == 2 * 8 * 16


@pytest.mark.parametrize("score", ["trial", "output", "influence", "taylor"])
def test_every_score_finds_the_block_that_does_little(score: str) -> None:
    _, program, batches = residual_net(1.0, 1.0, 0.01, 1.0)
    changed = optimize(program, f"remove-layers{{count=1,score={score}}}", calibration=batches)
    (row,) = changed.reports[-1].details["rounds"]
    assert row["removed"] == "3"
    assert list(row["scores"]) == ["1", "2", "3", "4"]
    assert row["scores"]["3"] == min(row["scores"].values())


@pytest.mark.parametrize("name", ["bert", "gpt2", "resnet", "vit"])
def test_healing_reduces_the_error(name: str) -> None:
    _, _, report = removed(name, count=1)
    (row,) = report.details["rounds"]
    assert row["fitted"]
    assert row["healed_distance"] < 0.5 * row["distance"]


def test_healing_holds_on_data_that_was_not_seen() -> None:
    model, program, batches = residual_net(1.0, 0.3, 1.0)
    errors = []
    for heal in ("false", "true"):
        text = f"remove-layers{{count=1,score=influence,heal={heal}}}"
        changed = optimize(program, text, calibration=batches)
        fresh = torch.randn(64, 1, 4, generator=torch.Generator().manual_seed(7))
        with torch.no_grad():
            got = torch.cat([changed.run(x) for x in fresh])
            errors.append(float((got - model(fresh[:, 0])).norm()))
    assert errors[1] < 0.5 * errors[0]


def test_healing_of_a_linear_block_is_exact() -> None:
    """Without a norm and an activation a block is a linear map: the layer before can be it too."""

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            mapped: Tensor = self.map(x)
            return x + mapped

    model = sequence(Linear())
    batches = [torch.randn(64, 4) for _ in range(4)]
    program = trace(model, (batches[0][:1],))
    text = "remove-layers{count=1,ridge=1e-9}"
    changed = optimize(program, text, calibration=batches)
    with torch.no_grad():
        got, wanted = changed.run(batches[0][:1]), model(batches[0][:1])
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4)
    assert changed.reports[-1].details["rounds"][0]["fitted"] == ["0.weight", "2.weight"]


@pytest.mark.parametrize("with_norm", [False, True])
def test_embeddings_bridge_the_gap_behind_them(with_norm: bool) -> None:
    """What a block makes of a sum of embeddings, tables that are multiplied by it make as well."""

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(32, 8), nn.Embedding(6, 8)
            self.maps = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
            self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(3)])
            self.last = nn.Linear(8, 3)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.words(ids) + self.places(torch.arange(6))
            x = self.norms[2](x) if with_norm else x
            for linear, norm in zip(self.maps, self.norms, strict=False):
                x = x + linear(x)
                x = norm(x) if with_norm else x
            result: Tensor = self.last(x)
            return result

    torch.manual_seed(0)
    model = Embedded().eval()
    seen = torch.randint(0, 28, (64, 6))  # the last words are in no calibration sample
    program = trace(model, (seen[:1],))
    text = "remove-layers{count=1,ridge=1e-9,protect=(maps.1)}"
    changed = optimize(program, text, calibration=list(seen.split(16)))
    (row,) = changed.reports[-1].details["rounds"]
    assert row["fitted"][0] == "words.weight"
    unseen = torch.randint(28, 32, (1, 6))
    with torch.no_grad():
        error = (changed.run(unseen) - model(unseen)).abs().max()
    assert float(error) < (0.3 if with_norm else 1e-4)
    if with_norm:
        assert row["healed_distance"] < 0.02 * row["distance"]


def test_padding_does_not_count() -> None:
    """Garbage at masked positions changes neither the choice nor the fit."""
    model, inputs = make("bert")
    program = trace(model, inputs)
    clean = data(program)
    dirty = [(ids.clone(), mask) for ids, mask in clean]
    for ids, mask in dirty:
        ids[mask == 0] = 5
    results = []
    for batches in (clean, dirty):
        pooled = optimize(_pooled(program), [RemoveLayers(count=1)], calibration=batches)
        results.append(pooled.reports[-1].details["rounds"][0])
    assert results[0]["removed"] == results[1]["removed"]
    assert results[0]["healed_distance"] == pytest.approx(results[1]["healed_distance"], rel=1e-3)


def _pooled(program: Program) -> Program:
    """Only the output that depends on no masked position."""
    copy = program.copy()
    assert copy.output_names[-1] == "pooler_output"
    return trace(
        _Second(program), tuple(torch.ones(s.shape, dtype=s.torch_dtype) for s in program.inputs)
    )


class _Second(nn.Module):
    def __init__(self, program: Program) -> None:
        super().__init__()
        self.inner = program.module

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = self.inner(ids, mask)[1]
        return result


@pytest.mark.parametrize("level", ["attention", "ffn", "any"])
def test_parts_of_layers_can_go_alone(level: str) -> None:
    _, _, report = removed("bert", count=2, level=level)
    rounds = report.details["rounds"]
    assert len(rounds) == 2
    for row in rounds:
        assert level == "any" or row["parts"] == [level]


def test_a_share_of_the_work_can_be_kept() -> None:
    _, _, report = removed("mobilenet_v2", macs=0.8, score="output", heal=False)
    assert report.before and report.after
    assert 0.5 < report.after.macs / report.before.macs <= 0.8
    assert report.rewrites > 1


def test_a_share_of_the_blocks_can_be_removed() -> None:
    _, _, report = removed("mobilenet_v2", ratio=0.3, score="influence", heal=False)
    assert report.rewrites == 3


def test_protected_modules_stay() -> None:
    _, changed, report = removed("bert", count=1, protect=("encoder.layer.1.output",))
    assert report.details["removable"] == ["encoder.layer.0"]
    assert any(name.startswith("encoder.layer.1.") for name in changed.weights)


def test_names_of_protected_modules_are_checked() -> None:
    with pytest.raises(CompileError, match="does not have") as raised:
        removed("bert", count=1, protect=("encoder.layer.7",))
    assert "encoder.layer.7" in str(raised.value)


def test_too_many_lists_what_there_is() -> None:
    with pytest.raises(CompileError, match="there are not 3 blocks") as raised:
        removed("bert", count=3)
    assert "encoder.layer.0, encoder.layer.1" in raised.value.got


def test_a_network_without_blocks_says_so() -> None:
    with pytest.raises(CompileError, match="no block is left") as raised:
        removed("own_mlp", count=1)
    assert "no residual block" in raised.value.got


def test_work_that_cannot_be_reached_says_what_is_left() -> None:
    with pytest.raises(CompileError, match="no block is left"):
        removed("resnet", macs=0.1)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("", "in one way"),
        ("{count=1,ratio=0.5}", "in one way"),
        ("{count=0}", "count must be 1 or more"),
        ("{ratio=1.5}", "ratio must be a fraction"),
        ("{macs=0.0}", "macs must be a fraction"),
        ("{count=1,ridge=0.0}", "ridge must be above 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: str, what: str) -> None:
    _, program, batches = residual_net(1.0)
    with pytest.raises(CompileError, match=what):
        optimize(program, f"remove-layers{options}", calibration=batches)


def test_calibration_data_is_needed() -> None:
    _, program, _ = residual_net(1.0)
    with pytest.raises(CompileError, match="needs calibration data"):
        optimize(program, "remove-layers{count=1}")


def test_a_gap_that_nothing_may_bridge_is_reported() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.block, self.last = nn.Linear(4, 8), Residual(8, 1.0), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.first(x)
            return x.relu(), self.last(self.block(x))

    torch.manual_seed(0)
    batches = [torch.randn(16, 4) for _ in range(4)]
    program = trace(Branching().eval(), (batches[0][:1],))
    changed = optimize(program, "remove-layers{count=1}", calibration=batches)
    assert any("nothing bridges the gap" in skip.reason for skip in changed.reports[-1].skips)
    first = changed.weights["first.weight"]
    torch.testing.assert_close(first, program.weights["first.weight"], rtol=0, atol=0)


def test_the_same_seed_gives_the_same_program() -> None:
    first, second = (removed("bert", count=1)[1] for _ in range(2))
    assert str(first) == str(second)
    for name, tensor in first.weights.items():
        torch.testing.assert_close(tensor, second.weights[name], rtol=0, atol=0)


def test_the_users_measure_is_reported() -> None:
    _, program, batches = residual_net(1.0, 0.1)
    changed = optimize(
        program,
        [RemoveLayers(count=1)],
        calibration=batches,
        evaluate=lambda found: -float(found.run(batches[0][:1]).norm()),
    )
    report = changed.reports[-1]
    assert report.before and report.after
    assert report.before.quality is not None
    assert report.after.quality is not None


@pytest.mark.parametrize("order", ["prune first", "remove first"])
def test_channels_can_be_pruned_before_and_after(order: str) -> None:
    model, inputs = make("bert")
    program = trace(model, inputs)
    passes = [PruneChannels(ratio=0.3), RemoveLayers(count=1)]
    if order == "remove first":
        passes.reverse()
    changed = optimize(program, passes, calibration=data(program))
    assert [report.rewrites > 0 for report in changed.reports] == [True, True]
    outputs = tensors_of(changed.run(**inputs) if isinstance(inputs, dict) else None)
    for got, wanted in zip(outputs, tensors_of(call(model, inputs)), strict=True):
        assert got.shape == wanted.shape
        assert got.isfinite().all()
