"""QuantizeAware: training computes what the program that comes out gives, which gets better."""

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import penjing
from penjing.compiler.batched_run import run_batched
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_context import PassContext
from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_report import PassReport
from penjing.compiler.pass_text import parse
from penjing.compiler.training import Callback, Training
from penjing.passes import FoldQuantization, PruneChannels, PruneWeights, Quantize, QuantizeAware
from penjing.passes.distillation.options import DistillationOptions
from penjing.passes.distillation.session import distill
from penjing.passes.quantizing.learn_steps import learn_steps, settle_steps

from .functions import traced
from .quantization.networks import NETWORKS
from .quantization.quantized_models import DEQUANTIZE_CHANNELS, QUANTIZE, quantized_program

aten = torch.ops.aten
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 2, "lr": 3e-3}


def samples(x: Tensor, count: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(x.shape, generator=generator) for _ in range(count)]


def network(name: str) -> tuple[Program, Tensor]:
    model, x = NETWORKS[name]()
    return trace(model.eval(), (x,)), x


def trained(program: Program, x: Tensor, **options: Any) -> Program:
    passes = [QuantizeAware(**{**SHORT, **options})]
    return optimize(program, passes, calibration=samples(x))


def error(program: Program, changed: Program, data: list[Tensor]) -> float:
    """Squared error of the outputs, relative to their size."""
    wanted = torch.cat([program.run(each) for each in data])
    got = torch.cat([changed.run(each) for each in data])
    return float((got - wanted).square().sum() / wanted.square().sum())


def steps(program: Program) -> list[tuple[object, object]]:
    nodes = program.graph.find_nodes(op="call_function", target=QUANTIZE)
    return [(node.args[1], node.args[2]) for node in nodes]


def empty_report() -> PassReport:
    return PassReport(name="test", options={}, contract="lossy")


def spread(x: Tensor, growth: float, shift: float, ends: tuple[int, int]) -> Tensor:
    arguments = torch.tensor(growth), torch.tensor(shift), 0.037, 3, *ends, 0.5
    result: Tensor = torch.ops.penjing.round_values.default(x, *arguments)
    return result


@pytest.mark.parametrize("ends", [(-128, 127), (-8, 7), (0, 127)])
@pytest.mark.parametrize("growth", [0.0, -0.31, 2.7])
@pytest.mark.parametrize("shift", [0.0, 0.013, -5.0])
def test_values_are_those_of_quantize_nodes(
    growth: float, shift: float, ends: tuple[int, int]
) -> None:
    halves = (torch.arange(-600, 600) + 0.5) * 0.037
    x = torch.cat([halves, torch.randn(5000) * 3, torch.tensor([1e30, -1e30, 0.0, -0.0])])
    scale = float(torch.tensor(growth).exp() * 0.037)
    zero_point = min(max(round(3 + (ends[1] - ends[0]) * shift), ends[0]), ends[1])
    options = (scale, zero_point, *ends, torch.int8)
    integers = torch.ops.quantized_decomposed.quantize_per_tensor(x, *options)
    wanted = torch.ops.quantized_decomposed.dequantize_per_tensor(integers, *options)
    assert torch.equal(spread(x, growth, shift, ends), wanted)


def test_gradients_are_those_of_learned_steps() -> None:
    x = (torch.randn(4, 50, dtype=torch.float64) * 4).float().requires_grad_()
    growth, shift = (torch.zeros((), requires_grad=True) for _ in range(2))
    weights = torch.randn(4, 50)
    found = torch.ops.penjing.round_values(x, growth, shift, 0.05, 3, -128, 127, 0.25)
    (found * weights).sum().backward()
    steps = x.detach() / 0.05
    inside = (torch.round(steps) + 3 >= -128) & (torch.round(steps) + 3 <= 127)
    assert 0 < (~inside).sum() < inside.sum()
    ends = torch.where(steps > 0, 127.0 - 3, -128.0 - 3)
    of_step = torch.where(inside, torch.round(steps) - steps, ends)  # Esser et al. 2020, (3)
    of_zero_point = torch.where(inside, 0.0, -0.05)
    assert x.grad is not None and growth.grad is not None and shift.grad is not None
    torch.testing.assert_close(x.grad, weights * inside)
    torch.testing.assert_close(growth.grad, 0.25 * 0.05 * (weights * of_step).sum())
    torch.testing.assert_close(shift.grad, 0.25 * 255 * (weights * of_zero_point).sum())


@pytest.mark.parametrize("axis", [0, 1])
def test_channels_have_steps_of_their_own(axis: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, requires_grad=True)
    size, directions = weight.shape[axis], torch.randn(6, 4, 3)
    growth, scales = torch.randn(size) * 0.1, torch.rand(size) * 0.2 + 0.2
    growth.requires_grad_()
    found = torch.ops.penjing.round_channels(weight, growth, scales, axis, -7, 7, 1.0)
    (found * directions).sum().backward()
    assert weight.grad is not None and growth.grad is not None
    for channel in range(size):
        one = growth.detach()[channel].requires_grad_()
        part = weight.detach().select(axis, channel)
        zero, step = torch.zeros(()), float(scales[channel])
        wanted = torch.ops.penjing.round_values(part, one, zero, step, 0, -7, 7, 1.0)
        (wanted * directions.select(axis, channel)).sum().backward()
        assert one.grad is not None
        torch.testing.assert_close(found.select(axis, channel), wanted)
        torch.testing.assert_close(growth.grad[channel], one.grad)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_rounding_that_can_be_trained_gives_the_same(name: str) -> None:
    model, x = NETWORKS[name]()
    for program in (
        optimize(trace(model.eval(), (x,)), [Quantize(weight_bits=5)], calibration=samples(x)),
        quantized_program(model, x, dtype=torch.uint8),
    ):
        learned, plain = program.copy(), optimize(program, [])
        assert learn_steps(learned, {}, empty_report()) > 2
        assert not learned.graph.find_nodes(op="call_function", target=DEQUANTIZE_CHANNELS)
        for given in (x, 30 * x):
            assert torch.equal(learned.run(given), plain.run(given))
        settle_steps(learned)
        for given in (x, 30 * x):
            assert torch.equal(learned.run(given), plain.run(given))


@pytest.mark.parametrize("name", ["attention", "depthwise", "residual"])
def test_programs_give_what_they_gave_in_training(name: str) -> None:
    program, x = network(name)
    quantized = optimize(program, [Quantize(weight_bits=4)], calibration=samples(x))
    before = quantized.run(x)
    learn_steps(quantized, {}, empty_report(), zero_points=True)
    context = PassContext(calibration=None, original=program)
    options = DistillationOptions(**SHORT, data=samples(x), hidden_weight=0.0)
    assert distill(quantized, options, context, empty_report(), keep_best=False) > 6
    with torch.no_grad():
        in_training = run_batched(quantized, (x,)).outputs[0]
    settle_steps(quantized)
    assert not torch.equal(in_training, before)
    assert torch.equal(quantized.run(x), in_training)


class _Outputs(Callback):
    """What the program gives whenever it is validated."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.seen: dict[int, Tensor] = {}

    def on_validation(self, training: Training) -> None:
        with torch.no_grad():
            self.seen[training.step] = run_batched(training.program, (self.x,)).outputs[0]


def test_the_best_weights_are_those_that_come_out() -> None:
    program, x = network("convolutions")
    outputs = _Outputs(x)
    changed = trained(program, x, weight_bits=3, epochs=6, callbacks=(outputs,))
    best = changed.reports[-1].details["best_step"]
    assert best > 0
    assert torch.equal(changed.run(x), outputs.seen[best])
    assert not torch.equal(outputs.seen[best], outputs.seen[0])
    quantized = optimize(program, [Quantize(weight_bits=3)], calibration=samples(x))
    torch.testing.assert_close(outputs.seen[0], quantized.run(x), rtol=0, atol=1e-5)


def perceptron() -> tuple[Program, list[Tensor]]:
    """A small network, and data to train and to test with."""
    torch.manual_seed(0)
    layers = (nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4))
    program = trace(nn.Sequential(*layers).eval(), (torch.zeros(16, 12),))
    return program, list(torch.randn(40, 16, 12).unbind())


@pytest.mark.parametrize("learn", [True, False])
def test_training_makes_up_for_rounding(learn: bool) -> None:
    program, data = perceptron()
    quantized = optimize(program, [Quantize(weight_bits=2)], calibration=data[:20])
    aware = QuantizeAware(weight_bits=2, epochs=12, batch_size=2, lr=5e-3, learn_steps=learn)
    changed = optimize(program, [aware], calibration=data[:20])
    assert error(program, changed, data[20:]) < 0.6 * error(program, quantized, data[20:])
    equal = [
        torch.equal(weight, changed.weights[name])
        for name, weight in quantized.weights.items()
        if name.endswith("_scales")
    ]
    assert equal == [not learn] * 3
    assert (steps(changed) == steps(quantized)) is not learn


def test_a_library_computes_the_integers() -> None:
    model, x = NETWORKS["depthwise"]()
    aware = QuantizeAware(weight_bits=4, **SHORT)
    program = optimize(trace(model.eval(), (x,)), [aware], calibration=samples(x))
    folded = optimize(program, [FoldQuantization()])
    assert error(program, folded, samples(x)) < 1e-3
    layers = {aten.conv2d.default, aten.linear.default}
    assert not [node for node in folded.graph.nodes if node.target in layers]
    library = penjing.compile(program, target="host")
    (result,) = library.run(x)
    torch.testing.assert_close(torch.as_tensor(result), folded.run(x), rtol=0, atol=0)


def test_what_must_have_equal_steps_keeps_them() -> None:
    def forward(one: nn.Module, two: nn.Module, last: nn.Module, x: Tensor) -> Any:
        joined = torch.cat([one(x), two(x) * 5], 1)
        return last(functional.max_pool2d(joined, 2))

    x = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    modules = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(4, 2, 1)
    program = traced(forward, x, modules=modules)
    changed = trained(program, x, weight_bits=3, learn_zero_points=True)
    quantized = optimize(program, [Quantize(weight_bits=3)], calibration=samples(x))
    assert len(steps(changed)) == 5  # input, parts, whole, pool
    assert len(set(steps(changed))) == 2
    assert set(steps(changed)).isdisjoint(steps(quantized))


def test_quantized_programs_are_taken_with_their_steps() -> None:
    program, x = network("convolutions")
    passes = [Quantize(weight_bits=3), QuantizeAware(**SHORT)]
    changed = optimize(program, passes, calibration=samples(x))
    details = changed.reports[-1].details
    assert changed.reports[-1].rewrites == changed.reports[0].rewrites
    best = min(value for _, value in details["validation"])
    assert best == dict(details["validation"])[details["best_step"]]
    highest = [abs(w).max() for n, w in changed.weights.items() if n.endswith("_int8")]
    assert set(map(int, highest)) == {3}


def test_options_have_one_meaning() -> None:
    ours, theirs = ({f.name for f in fields(each)} for each in (Quantize, DistillationOptions))
    assert ours.isdisjoint(theirs)
    (parsed,) = parse("quantize-aware{weight_bits=4,epochs=3,label_weight=0.5}")
    assert parsed == QuantizeAware(weight_bits=4, epochs=3, label_weight=0.5)


def test_zeros_stay() -> None:
    program, x = network("convolutions")
    passes = [PruneWeights(ratio=0.5, scope="layer"), QuantizeAware(weight_bits=4, **SHORT)]
    changed = optimize(program, passes, calibration=samples(x))
    pruned = optimize(program, passes[:1], calibration=samples(x))
    for name in ("0.weight", "3.weight", "6.weight"):
        zeros = pruned.weights[name] == 0
        assert zeros.any()
        assert not changed.weights[f"{name}_int8"][zeros].any()


def test_pruned_programs_learn_from_the_original() -> None:
    program, x = network("depthwise")
    passes = [PruneChannels(ratio=0.5, round_to=1), QuantizeAware(weight_bits=4, **SHORT)]
    changed = optimize(program, passes, calibration=samples(x))
    after = changed.reports[-1].after
    assert after is not None and after.error is not None and after.error < 1
    folded = optimize(changed, [FoldQuantization()])
    (result,) = penjing.compile(changed, target="host").run(x)
    torch.testing.assert_close(torch.as_tensor(result), folded.run(x), rtol=0, atol=0)


def test_another_teacher_and_labels() -> None:
    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    large = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3)).eval()
    x = torch.randn(64, 6)
    with torch.no_grad():
        labels = large(x).argmax(1)
    student, teacher = (trace(each, (x[:1],)) for each in (small, large))
    aware = QuantizeAware(teacher=teacher, output="kl", label_weight=1.0, epochs=30, lr=1e-2)
    changed = optimize(student, [aware], calibration=[(x, labels)])

    def right(program: Program) -> float:
        return float((run_batched(program, (x,)).outputs[0].argmax(1) == labels).float().mean())

    assert right(changed) > max(right(student) + 0.2, 0.8)


def test_refusals() -> None:
    program, x = network("rows")
    with pytest.raises(CompileError, match="needs calibration data"):
        optimize(program, [QuantizeAware()])
    with pytest.raises(CompileError, match="weight_bits must be"):
        trained(program, x, weight_bits=9)
    with pytest.raises(CompileError, match="epochs must be"):
        QuantizeAware(epochs=0)


def test_what_others_read_stays() -> None:
    program = trace(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).eval(), (torch.zeros(1, 4),))
    quantized = optimize(program, [Quantize()], calibration=list(torch.randn(4, 2, 4)))
    (first, *_) = quantized.graph.find_nodes(op="call_function", target=QUANTIZE)
    end = quantized.graph.output_node()
    end.args = ((first,),)
    report = empty_report()
    assert learn_steps(quantized, {}, report) == 0
    assert [skip.reason for skip in report.skips] == [
        "its integers are read otherwise than by dequantize nodes"
    ]
