"""Prune, remove, distill and compile in one list; the smaller program as a PyTorch module again."""

import io
from pathlib import Path

import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_text import parse
from penjing.passes import Distill, Pass, PruneChannels, RemoveLayers
from tests.support import assert_close

PASSES: tuple[Pass, ...] = (
    PruneChannels(ratio=0.4, round_to=1),
    RemoveLayers(count=1),
    Distill(epochs=8, batch_size=4, lr=2e-3, batch_norm="frozen"),
)
TEXT = (
    "prune-channels{ratio=0.4,round_to=1},remove-layers{count=1},"
    "distill{epochs=8,batch_size=4,lr=0.002,batch_norm=frozen}"
)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)
        self.project = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.project(torch.relu(self.norm(self.expand(x))))
        return x + change


def network() -> nn.Module:
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    blocks = (Block(12), Block(12), Block(12))
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), *blocks, *head).eval()


@pytest.fixture(scope="module")
def data() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 3, 6, 6, generator=generator) for _ in range(3)]


@pytest.fixture(scope="module")
def smaller(data: list[torch.Tensor]) -> Program:
    return penjing.optimize(penjing.trace(network(), (data[0][:1],)), PASSES, calibration=data)


def test_passes_follow_each_other(smaller: Program, data: list[torch.Tensor]) -> None:
    prune, remove, distill = smaller.reports
    assert [r.name for r in smaller.reports] == ["prune-channels", "remove-layers", "distill"]
    assert all(report.rewrites for report in smaller.reports)
    states = [prune.before, prune.after, remove.after, distill.after]
    sizes = [state.parameters for state in states if state]
    assert sizes[0] > sizes[1] > sizes[2] == sizes[3]
    errors = [state.error for state in states[1:] if state and state.error is not None]
    assert errors[2] < errors[1]
    assert errors[2] < 0.5


def test_text_form_does_the_same(smaller: Program, data: list[torch.Tensor]) -> None:
    assert tuple(parse(TEXT)) == PASSES
    model, image = network(), (data[0][:1],)
    artifact = penjing.compile(model, image, target="host", passes=TEXT, calibration=data)
    whole = penjing.compile(model, image, target="host")
    assert_close(torch.tensor(artifact.run(*image)[0]), smaller.run(*image), 1e-5)
    assert artifact.report.macs < 0.6 * whole.report.macs
    assert artifact.report.weights_bytes < 0.6 * whole.report.weights_bytes


def test_smaller_program_compiles_like_any(smaller: Program, data: list[torch.Tensor]) -> None:
    artifact = penjing.compile(smaller, target="host")
    for image in data[0].split(1):
        assert_close(torch.tensor(artifact.run(image)[0]), smaller.run(image), 1e-5)


def test_state_dict_loads_back(smaller: Program, data: list[torch.Tensor]) -> None:
    image, buffer = data[0][:1], io.BytesIO()
    torch.save(smaller.module.state_dict(), buffer)
    buffer.seek(0)
    other = smaller.copy()
    with torch.no_grad():
        for weight in other.module.state_dict().values():
            weight.zero_()
    assert not torch.equal(other.run(image), smaller.run(image))
    other.module.load_state_dict(torch.load(buffer))
    assert torch.equal(other.run(image), smaller.run(image))


def test_saved_program_loads_back(
    smaller: Program, data: list[torch.Tensor], tmp_path: Path
) -> None:
    smaller.save(tmp_path / "smaller.pt")
    assert torch.equal(
        Program.load(tmp_path / "smaller.pt").run(data[0][:1]), smaller.run(data[0][:1])
    )


def test_exported_program_loads_back(
    smaller: Program, data: list[torch.Tensor], tmp_path: Path
) -> None:
    image = data[0][:1]
    smaller.tidy()
    torch.export.save(torch.export.export(smaller.module, (image,)), tmp_path / "smaller.pt2")
    loaded = torch.export.load(tmp_path / "smaller.pt2")
    assert torch.equal(loaded.module()(image)[0], smaller.run(image))
    again = penjing.trace(loaded, (image,))
    assert_close(again.run(image)[0], smaller.run(image), 1e-6)


def test_module_trains_on(smaller: Program, data: list[torch.Tensor]) -> None:
    model = smaller.copy().module
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data[0][:1])[0], torch.tensor([3]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_onnx_file_gives_the_same(
    smaller: Program, data: list[torch.Tensor], tmp_path: Path
) -> None:
    from onnx.reference import ReferenceEvaluator

    image, path = data[0][:1], tmp_path / "smaller.onnx"
    exported = torch.export.export(smaller.module, (image,))
    torch.onnx.export(exported, (), path, dynamo=True, external_data=False, verbose=False)
    session = ReferenceEvaluator(str(path))
    (found,) = session.run(None, {session.input_names[0]: image.numpy()})
    assert_close(torch.tensor(found), smaller.run(image), 1e-4)
