from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from penjing import targets
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import replace_call
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_context import PassContext
from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_report import Layer

aten = torch.ops.aten


class _Soften(Pass):
    """relu -> tanh, one at a time where asked."""

    name = "test-soften"
    contract = "lossy"

    def run(self, program: Program) -> int:
        relus = program.graph.find_nodes(op="call_function", target=aten.relu.default)
        for node in relus:
            replace_call(node, aten.tanh.default, node.args[0])
            self.report.skip(program.output_nodes[0], "an example")
        self.report.details["softened"] = len(relus)
        return len(relus)


class _Scale(Pass):
    """Doubles weights in place: the text stays, the program changes."""

    name = "test-scale"
    contract = "lossy"

    def run(self, program: Program) -> int:
        with torch.no_grad():
            for weight in program.weights.values():
                weight.mul_(2)
        return len(program.weights)


class _Boom(Pass):
    name = "test-boom"
    contract = "exact"

    def run(self, program: Program) -> int:
        raise KeyError("scale")


class _Break(Pass):
    name = "test-break"
    contract = "exact"

    def run(self, program: Program) -> int:
        node = program.output_nodes[0]
        node.args = (node.args[0], node.args[0])
        return 1


class _Refuse(Pass):
    name = "test-refuse"
    contract = "exact"

    def run(self, program: Program) -> int:
        raise CompileError("no such layer", at="head", got="tail", fix="name a layer")


class _Silent(Pass):
    name = "test-silent"
    contract = "lossy"

    def run(self, program: Program) -> int:
        _Soften().run(program)
        return 0


class _Boastful(Pass):
    name = "test-boastful"
    contract = "exact"

    def run(self, program: Program) -> int:
        return 3


class _Vague(Pass):
    name = "test-vague"
    contract = "exact"

    def run(self, program: Program) -> int:
        return None  # type: ignore[return-value]


@cache  # nothing below changes it
def _program() -> Program:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    return trace(model.eval(), torch.zeros(1, 2))


SOFTENED = dedent("""\
    %0 = input input: f32[1,2]
    %1 = aten.linear(%0, @0.weight, @0.bias): f32[1,2]
    %2 = aten.tanh(%1): f32[1,2]
    return %2
    """)


def test_passes_work_on_a_copy() -> None:
    program = _program()
    before = str(program)
    assert str(optimize(program, [_Soften()])) == SOFTENED
    assert str(program) == before
    assert program.reports == ()


def test_text_and_passes_mix() -> None:
    result = optimize(_program(), ["test-soften, test-scale", _Scale()])
    assert [report.name for report in result.reports] == ["test-soften", "test-scale", "test-scale"]
    assert str(optimize(_program(), "test-soften")) == SOFTENED


def test_reports_say_what_each_pass_did() -> None:
    soften, scale = optimize(_program(), "test-soften, test-scale").reports
    assert (soften.rewrites, soften.nodes_before, soften.nodes_after) == (1, 2, 2)
    assert soften.seconds > 0
    assert soften.details == {"softened": 1}
    (skip,) = soften.skips
    assert (skip.op, skip.at, skip.reason) == ("aten.tanh.default", "1", "an example")
    assert scale.skips == []
    assert scale.as_dict()["rewrites"] == 2


def test_reports_are_added_to_those_of_the_program() -> None:
    once = optimize(_program(), "test-soften")
    assert [report.rewrites for report in optimize(once, "test-soften").reports] == [1, 0]


def test_changed_weights_count_as_a_change() -> None:
    program = _program()
    doubled = optimize(program, [_Scale()])
    assert torch.equal(doubled.weights["0.weight"], 2 * program.weights["0.weight"])


def test_print_after_prints_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    optimize(_program(), "test-soften, test-scale", print_after="test-soften")
    assert capsys.readouterr().out == f"; after test-soften: 1 rewrite\n{SOFTENED}\n"
    optimize(_program(), "test-soften, test-scale", print_after="all")
    assert "; after test-scale: 2 rewrites\n" in capsys.readouterr().out


def test_print_after_an_unknown_pass_is_refused() -> None:
    with pytest.raises(CompileError, match="print_after names a pass that does not run: 'soften'"):
        optimize(_program(), "test-soften", print_after="soften")


def test_stop_at_runs_a_prefix() -> None:
    assert optimize(_program(), [_Soften(), _Boom()], stop_at=1).reports[-1].name == "test-soften"
    assert optimize(_program(), [_Boom()], stop_at=0).reports == ()


def test_text_is_dumped_after_every_pass(tmp_path: Path) -> None:
    optimize(_program(), "test-soften, test-scale", dump_dir=tmp_path / "dump")
    files = sorted((tmp_path / "dump").iterdir())
    assert [f.name for f in files] == ["00-input.txt", "01-test-soften.txt", "02-test-scale.txt"]
    assert files[1].read_text() == SOFTENED
    assert "aten.relu" in files[0].read_text()


def test_progress_is_told_before_every_pass() -> None:
    stages: list[tuple[str, float]] = []
    optimize(
        _program(),
        "test-soften, test-scale",
        progress=lambda stage, done: stages.append((stage, done)),
    )
    assert stages == [("test-soften (1/2)", 0.0), ("test-scale (2/2)", 0.0)]


def test_passes_find_what_optimize_was_told() -> None:
    seen: list[PassContext] = []

    class TestLook(Pass):
        name = "test-look"
        contract = "exact"

        def run(self, program: Program) -> int:
            seen.append(self.context)
            return 0

    program = _program()
    x = [torch.zeros(program.inputs[0].shape)]
    optimize(program, [TestLook()], calibration=x, evaluate=lambda _: 0.5, target="arm-a72")
    (context,) = seen
    assert context.original is program
    assert context.target is targets.get("arm-a72")
    assert context.evaluate is not None
    assert len(context.needs_calibration("test-look")) == 1
    assert TestLook().context.calibration is None
    with pytest.raises(CompileError, match="needs calibration data"):
        TestLook().context.needs_calibration("test-look")


def _error_of(*passes: Pass) -> CompileError:
    with pytest.raises(CompileError) as error:
        optimize(_program(), passes)
    return error.value


def test_a_failing_pass_is_named_with_its_predecessors() -> None:
    error = _error_of(_Soften(), _Boom())
    assert str(error) == dedent("""\
        pass test-boom (step 2) failed: KeyError: 'scale'
          at   after test-soften
          fix  a bug in the pass; stop_at=1 stops just before it""")
    assert isinstance(error.__cause__, KeyError)


def test_a_refusing_pass_keeps_its_advice() -> None:
    assert str(_error_of(_Refuse())) == dedent("""\
        pass test-refuse (step 1) failed: no such layer
          at   head, the first pass
          got  tail
          fix  name a layer; stop_at=0 stops just before it""")


def test_an_invalid_program_is_blamed_on_its_pass() -> None:
    error = _error_of(_Soften(), _Break())
    assert error.what.startswith("pass test-break (step 2) failed: ")


@pytest.mark.parametrize(
    ("liar", "message"),
    [
        (_Silent(), "run() returned 0 but changed the program"),
        (_Boastful(), "run() returned 3 but left the program as it was"),
        (_Vague(), "run() must return the number of rewrites, got None"),
    ],
)
def test_a_wrong_count_is_refused(liar: Pass, message: str) -> None:
    assert message in _error_of(liar).what


def test_what_is_no_pass_is_refused() -> None:
    with pytest.raises(CompileError, match="expected passes or their text form"):
        optimize(_program(), [_Soften])  # type: ignore[list-item]


class _Halve(Pass):
    """Weights halved: a lossy pass with an effect that is known."""

    name = "test-halve"
    contract = "lossy"

    def run(self, program: Program) -> int:
        nodes = program.graph.find_nodes(op="get_attr")
        for node in nodes:
            program.replace_weight(node, nn.Parameter(program.weight(node).detach() / 2))
        return len(nodes)


def test_what_a_lossy_pass_did_is_measured() -> None:
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False))
    program = trace(model, (torch.zeros(1, 3),))
    result = optimize(
        program,
        [_Halve(), _Halve()],
        calibration=[torch.randn(8, 3)],
        evaluate=lambda program: float(program.weights["0.weight"].detach().abs().max()),
    )
    first, second = result.reports
    assert first.before is not None
    assert first.after is not None
    assert second.after is not None
    assert first.before.parameters == 3 * 4 + 4 * 2
    assert first.before.weight_bytes == 4 * first.before.parameters
    assert first.before.macs == 3 * 4 + 4 * 2
    assert first.before.layers["1"] == Layer(macs=8, parameters=8)
    assert first.before.error == 0
    assert first.after.error == pytest.approx(3 / 4)
    assert second.after.error == pytest.approx(15 / 16)
    assert second.before == first.after
    assert first.before.quality == pytest.approx(4 * (second.after.quality or 0))
    assert optimize(program, [_Soften()]).reports[0].after is None  # no relu to change


def test_the_error_compares_the_same_samples_where_a_loader_shuffles() -> None:
    program = trace(nn.Linear(3, 2), (torch.zeros(1, 3),))
    loader = DataLoader(TensorDataset(torch.randn(16, 3)), shuffle=True)
    first, second = optimize(program, [_Halve(), _Halve()], calibration=loader).reports
    assert first.before is not None
    assert first.after is not None
    assert second.after is not None
    assert first.before.error == 0
    assert first.after.error == pytest.approx(1 / 2)
    assert second.after.error == pytest.approx(3 / 4)
