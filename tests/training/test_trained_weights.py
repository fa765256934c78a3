from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.batches import Batch
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.training import keep_zeros, train
from penjing.compiler.training.forward import Run
from tests.training.tiny_training import class_loss, few_epochs, points, tiny_program, weights_of


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_marked_zeros_stay_zero_and_all_else_changes(optimizer: str) -> None:
    program = tiny_program()
    (node,) = (n for n in program.graph.find_nodes(op="get_attr") if n.target == "0.weight")
    mask = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    with torch.no_grad():
        program.weight(node).mul_(mask)
    before = weights_of(program)["0.weight"]
    keep_zeros(program, node)
    copied = program.copy()
    options = few_epochs(weight_decay=0.5, optimizer=optimizer)
    train(copied, class_loss, points(), options=options)
    after = copied.weights["0.weight"]
    assert torch.equal(after != 0, mask)
    assert (after != before)[mask].all()
    assert (copied.weights["2.weight"] != program.weights["2.weight"]).all()


def test_marks_of_zeros_survive_a_file(tmp_path: Path) -> None:
    program = tiny_program()
    (node,) = (n for n in program.graph.find_nodes(op="get_attr") if n.target == "2.weight")
    with torch.no_grad():
        program.weight(node)[0] = 0
    keep_zeros(program, node)
    program.save(tmp_path / "program.pt")
    loaded = Program.load(tmp_path / "program.pt")
    train(loaded, class_loss, points(), options=few_epochs())
    assert not loaded.weights["2.weight"][0].any()
    assert loaded.weights["2.weight"][1:].all()


def test_batch_norms_learn_the_statistics_of_the_data_or_stay() -> None:
    data = [(x + 3, y) for x, y in points()]
    trained, frozen = tiny_program(norm=True), tiny_program(norm=True)
    train(trained, class_loss, data, options=few_epochs(epochs=8))
    train(frozen, class_loss, data, options=few_epochs(epochs=8, batch_norm="frozen"))
    x = torch.cat([x for x, _ in data])
    mean = functional.linear(x, trained.weights["0.weight"], trained.weights["0.bias"]).mean(0)
    statistics = trained.weights["1.running_mean"]
    assert (statistics - mean).abs().max() < 0.3 * mean.abs().max()
    assert torch.equal(frozen.weights["1.running_mean"], torch.zeros(8))
    assert not torch.equal(frozen.weights["1.weight"], torch.ones(8))


def test_parameters_of_the_objective_are_trained_along() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, run: Run, batch: Batch) -> Tensor:
            return functional.cross_entropy(run().outputs[0] * self.scale, batch.labels)

    objective = Scaled()
    train(tiny_program(), objective, points(), options=few_epochs())
    assert objective.scale != 1


def test_plain_weights_of_layers_are_trained_and_constants_are_not() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.eye(4)[:3].contiguous())
            self.register_buffer("shift", torch.arange(3.0))

        def forward(self, x: Tensor) -> Tensor:
            assert isinstance(self.weight, Tensor) and isinstance(self.shift, Tensor)
            return functional.linear(x, self.weight) + self.shift

    program = trace(Shifted(), (torch.zeros(1, 4),))
    train(program, class_loss, points(), options=few_epochs())
    assert isinstance(program.weights["weight"], nn.Parameter)
    assert not torch.equal(program.weights["weight"], torch.eye(4)[:3])
    assert torch.equal(program.weights["shift"], torch.arange(3.0))


def test_frozen_weights_stay() -> None:
    program = tiny_program()
    before = weights_of(program)
    train(program, class_loss, points(), options=few_epochs(freeze=("0", "2.bias")))
    changed = {n for n, weight in program.weights.items() if not torch.equal(weight, before[n])}
    assert changed == {"2.weight"}


def test_embeddings_are_trained_where_asked_for_and_their_unused_rows_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 3))
    program = trace(model, (torch.zeros(1, 2, dtype=torch.int64),))
    before = weights_of(program)["0.weight"]
    data = [(torch.randint(0, 5, (4, 2)), torch.randint(0, 3, (4,))) for _ in range(4)]
    frozen = program.copy()
    train(frozen, class_loss, data, options=few_epochs())
    assert torch.equal(frozen.weights["0.weight"], before)
    assert not torch.equal(frozen.weights["2.weight"], program.weights["2.weight"])
    options = few_epochs(weight_decay=0.5, embeddings="train")
    train(program, class_loss, data, options=options)
    same = (program.weights["0.weight"] == before).all(1)
    assert same.tolist() == [False] * 5 + [True] * 4
