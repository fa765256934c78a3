"""A program on many samples gives what it gives for each of them."""

import pytest
import torch
from torch import nn

from penjing.compiler.batched_run import run_batched
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from tests.zoo import ZOO, make

QUICK = ("bert", "gpt2", "swin", "own_resnet18", "own_lstm", "own_se_cnn", "own_unet")
_ATEN = torch.ops.aten


def _samples(program: Program, flat: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        [
            tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
            if tensor.is_floating_point()
            else tensor.flip(-1)
            if number
            else tensor
            for tensor in flat
        ]
        for number in range(3)
    ]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(ZOO)],
)
def test_equals_one_sample_at_a_time(name: str) -> None:
    model, inputs = make(name)
    program = trace(model, inputs)
    args, kwargs = (inputs, {}) if isinstance(inputs, tuple) else ((), inputs)
    samples = _samples(program, program.flatten_inputs(args, kwargs))
    with torch.no_grad():
        together = run_batched(program, [torch.cat(parts) for parts in zip(*samples, strict=True)])
        each = [program.run_flat(*sample) for sample in samples]
    for got, *wanted in zip(together.outputs, *each, strict=True):
        expected = torch.cat(wanted)
        assert got.shape == expected.shape
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
        return result


def test_gradients_equal_those_of_pytorch() -> None:
    model = _Net().eval()
    program, x = trace(model, (torch.zeros(1, 2, 6, 6),)), torch.randn(5, 2, 6, 6)
    run_batched(program, (x,)).outputs[0].square().sum().backward()
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(program.weights[name].grad, parameter.grad)


@pytest.mark.parametrize("traced", [1, 5])
def test_batch_norms_train_as_in_pytorch(traced: int) -> None:
    model = _Net().eval()
    program = trace(model, (torch.zeros(traced, 2, 6, 6),))
    x = torch.randn(5, 2, 6, 6) * 3 + 1
    got = run_batched(program, (x,), normalize_by_batch=True).outputs[0]
    torch.testing.assert_close(got, model.train()(x))
    for name in ("norm.running_mean", "norm.running_var"):
        torch.testing.assert_close(program.weights[name], model.state_dict()[name])


def test_values_can_be_kept_given_and_edited() -> None:
    model = _Net().eval()
    program, x = trace(model, (torch.zeros(1, 2, 6, 6),)), torch.randn(3, 2, 6, 6)
    (relu,) = program.graph.find_nodes(op="call_function", target=_ATEN.relu.default)
    with torch.no_grad():
        plain = run_batched(program, (x,), keep=[relu])
        assert plain.kept[relu].shape == (3, 4, 4, 4)
        alone = run_batched(program, (x,), keep=[relu], outputs=False)
        assert alone.outputs == []
        assert torch.equal(alone.kept[relu], plain.kept[relu])
        doubled = run_batched(program, (x,), edit={relu: lambda value: 2 * value})
        given = run_batched(program, (x,), given={relu: 2 * plain.kept[relu]})
        expected = model.head(2 * plain.kept[relu].mean((2, 3)))
    torch.testing.assert_close(doubled.outputs[0], expected)
    torch.testing.assert_close(given.outputs[0], expected)


def test_an_input_of_the_traced_shape_is_shared() -> None:
    class Scale(nn.Module):
        def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            return x * scale

    program = trace(Scale(), (torch.zeros(1, 3), torch.zeros(1, 3)))
    x, scale = torch.randn(4, 3), torch.randn(1, 3)
    assert torch.equal(run_batched(program, (x, scale)).outputs[0], x * scale)


def test_an_output_without_inputs_is_repeated() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.ones(1, 2))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, self.bias * 2

    program = trace(Constant(), (torch.zeros(1, 3),))
    _, constant = run_batched(program, (torch.zeros(4, 3),)).outputs
    assert torch.equal(constant, torch.full((4, 2), 2.0))


def test_wrong_shapes_are_refused() -> None:
    program = trace(nn.Linear(3, 2), (torch.zeros(2, 3),))
    with pytest.raises(CompileError, match="as many samples"):
        run_batched(program, (torch.zeros(3, 3),))
