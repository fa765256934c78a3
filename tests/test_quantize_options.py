"""The options of Quantize: how weights are rounded, what moves, what stays real."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization, Quantize
from penjing.passes.quantize import Outputs
from penjing.passes.quantizing.limits import Observer

from .functions import Function, traced
from .quantization.networks import NETWORKS
from .quantization.quantized_models import DEQUANTIZE, aten

penjing = torch.ops.penjing


def dependent(rows: int, features: int, seed: int) -> Tensor:
    """Inputs of which a quarter would tell the rest."""
    mixed = torch.randn(features // 4, features, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, features // 4, generator=generator) @ mixed


def error(program: Program, changed: Program, data: list[Tensor]) -> float:
    """The squared error of the outputs by their squares."""
    wanted = torch.cat([program.run(x) for x in data])
    got = torch.cat([changed.run(x) for x in data])
    return float((got - wanted).square().sum() / wanted.square().sum())


@pytest.mark.parametrize("rounding", ["gptq", "adaround"])
def test_weights_are_rounded_together(rounding: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, 8)).eval()
    program = trace(model, (torch.zeros(4, 32),))
    data, others = (list(dependent(256, 32, seed).split(4)) for seed in (0, 1))
    found = []
    for chosen in ("nearest", rounding):
        quantize = Quantize(rounding=chosen, weight_bits=3)  # type: ignore[arg-type]
        changed = optimize(program, [quantize], calibration=data)
        assert changed.weights["0.weight_int8"].abs().max() == 3
        found.append(error(program, changed, others))
    assert found[1] < 0.5 * found[0]


@pytest.mark.parametrize("rounding", ["gptq", "adaround"])
def test_all_kinds_of_layers_are_rounded_together(rounding: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 4, 2, 2),
    )
    program = trace(model.eval(), (torch.zeros(1, 3, 8, 8),))
    data, others = ([torch.randn(1, 3, 8, 8).cumsum(3) for _ in range(8)] for _ in range(2))
    found = []
    for chosen in ("nearest", rounding):
        quantize = Quantize(rounding=chosen, weight_bits=3)
        found.append(error(program, optimize(program, [quantize], calibration=data), others))
    assert found[1] < 0.95 * found[0]


def test_sizes_move_from_layers_and_from_norms_apart() -> None:
    def forward(one: nn.Module, two: nn.Module, norm: nn.Module, last: nn.Module, x: Tensor) -> Any:
        return last(norm(two(functional.relu(one(x)))))

    torch.manual_seed(0)
    one, two, norm, last = nn.Linear(8, 16), nn.Linear(16, 12), nn.LayerNorm(12), nn.Linear(12, 5)
    sizes = 2 ** torch.linspace(-5, 5, 16)
    one.weight.data *= sizes[:, None]
    one.bias.data *= sizes
    two.weight.data /= sizes
    norm.weight.data[3] *= 60
    last.weight.data[:, 3] /= 60
    x = torch.randn(64, 8)
    program = traced(forward, x, modules=(one, two, norm, last))
    moved = []
    for equalize, smooth in ((True, False), (False, True), (False, False)):
        chosen = Quantize(scope="products", equalize=equalize, smooth=smooth)
        changed = optimize(program, [chosen], calibration=[x])
        moved.append(set(changed.reports[-1].details.get("equalized", ())))
    assert moved[0] == {"parts.1"}
    assert "parts.3" in moved[1]
    assert not moved[2]


@pytest.mark.parametrize("observer", get_args(Observer))
def test_all_observers_choose_ranges(observer: Any) -> None:
    model, x = NETWORKS["residual"]()
    program = trace(model.eval(), (x,))
    data = [x, torch.randn_like(x), torch.randn_like(x)]
    changed = optimize(program, [Quantize(observer=observer)], calibration=data)
    assert error(program, changed, data) < 0.01


def test_sensitive_layers_stay_real() -> None:
    torch.manual_seed(0)
    wide, first = nn.Linear(16, 16), nn.Linear(16, 16)
    wide.weight.data[:, 0] *= 1e4  # all others become 0 beside it
    model = nn.Sequential(first, nn.Tanh(), wide, nn.Tanh(), nn.Linear(16, 4)).eval()
    data = [torch.randn(8, 16) * torch.tensor([1e-4] + [1.0] * 15) for _ in range(4)]
    first.weight.data[0] *= 1e-4
    program = trace(model, (data[0],))
    errors = []
    for count in (0, 1):
        options: Any = {"scope": "products", "equalize": False, "smooth": False}
        chosen = Quantize(keep_sensitive=count, **options)
        changed = optimize(program, [chosen], calibration=data)
        errors.append(error(program, changed, data))
    names = list(changed.reports[-1].details["sensitivities"])
    assert names[0] == "2"
    assert sorted(names) == ["0", "2", "4"]
    (real,) = (
        node
        for node in changed.graph.find_nodes(op="call_function", target=aten.linear.default)
        if node.args[1].op == "get_attr"
    )
    assert real.args[1].target == "2.weight"
    assert errors[1] < 0.1 * errors[0]
    with pytest.raises(CompileError, match="0 or more"):
        optimize(program, [Quantize(keep_sensitive=-1)], calibration=data)


def test_attention_between_products_becomes_integers() -> None:
    def forward(norm: nn.Module, inward: nn.Module, out: nn.Module, x: Tensor) -> Any:
        parts = inward(norm(x)).reshape(1, 9, 3, 2, 8).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()
        scores = torch.softmax(query @ key.transpose(-1, -2) * 0.35, -1)
        return x + out((scores @ value).transpose(1, 2).reshape(1, 9, 16))

    torch.manual_seed(0)
    modules = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
    x = torch.randn(1, 9, 16)
    program = trace(Function(forward, *modules).eval(), (x,))
    changed = optimize(program, [Quantize(), FoldQuantization()], calibration=[x])
    operators = {node.target for node in changed.graph.nodes if node.op == "call_function"}
    assert penjing.attention_int8.default in operators
    assert penjing.exact_layer_norm.default in operators
    assert not operators & {aten.scaled_dot_product_attention.default, aten.linear.default}
    assert error(program, changed, [x]) < 1e-3


@pytest.mark.parametrize(
    ("outputs", "target", "rounded"),
    [
        ("auto", None, False),
        ("auto", "arm-a72", False),
        ("auto", "cortex-m4", True),
        ("real", "cortex-m4", False),
        ("integers", None, True),
    ],
)
def test_outputs_become_integers_where_devices_want_them(
    outputs: Outputs, target: str | None, rounded: bool
) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    data = [torch.randn(1, 4) for _ in range(2)]
    program = optimize(
        trace(model, (data[0],)), [Quantize(outputs=outputs)], calibration=data, target=target
    )
    assert (program.output_nodes[0].target is DEQUANTIZE) == rounded
