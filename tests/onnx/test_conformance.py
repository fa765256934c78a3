"""The onnx package's own cases give what they store; the benchmark of them counts right."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from benchmarks import onnx_check
from benchmarks.onnx_cases import OnnxCase, directory_cases, light_cases, node_cases, with_constants
from benchmarks.onnx_check import CRASHED, PASSED, REFUSED, WRONG, check
from benchmarks.onnx_conformance import (
    BEGIN,
    END,
    Result,
    block,
    op_rows,
    read_journal,
    replaced,
    short,
    suite_rows,
)
from benchmarks.onnx_workers import run_checks

# One case of each kind of operator by its module, so that a run takes seconds; the slow test runs
# all.
SAMPLE = {
    "add": "test_add_uint8",
    "argmax": "test_argmax_keepdims_example_select_last_index",
    "bitshift": "test_bitshift_right_uint8",
    "conv": "test_conv_with_autopad_same",
    "cumsum": "test_cumsum_2d_int32",
    "gemm": "test_gemm_all_attributes",
    "lstm": "test_lstm_with_peepholes",
    "mod": "test_mod_mixed_sign_int8",
    "scatternd": "test_scatternd_add",
    "topk": "test_top_k_smallest",
}


@pytest.fixture(scope="module")
def sampled() -> dict[str, OnnxCase]:
    return {case.name: case for case in node_cases(*SAMPLE, "nonzero")}


@pytest.mark.parametrize("name", SAMPLE.values())
def test_sampled_case_passes(sampled: dict[str, OnnxCase], name: str) -> None:
    outcome = check(sampled[name])
    assert outcome.status == PASSED, outcome.reason


@pytest.mark.parametrize("name", ["simple/test_sequence_model3", "simple/test_shrink"])
def test_sampled_directory_passes(name: str) -> None:
    (case,) = (case for case in directory_cases() if case.name == name)
    outcome = check(case)
    assert outcome.status == PASSED, outcome.reason


def test_text_is_refused() -> None:
    cases = [case for case in directory_cases() if "strnorm" in case.name]
    assert len(cases) == 6
    outcome = check(cases[0])
    assert outcome.status == REFUSED
    assert "string" in outcome.reason


def test_shapes_that_depend_on_values_are_refused(sampled: dict[str, OnnxCase]) -> None:
    outcome = check(sampled["test_nonzero_example"])
    assert outcome.status == REFUSED
    assert "NonZero" in outcome.reason


def test_other_values_than_both_oracles_give_are_wrong(
    sampled: dict[str, OnnxCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = sampled["test_add_uint8"]
    other = case.outputs[0].copy()
    other.flat[1] += 1
    changed = replace(case, outputs=[other])
    assert check(changed).status == PASSED, "onnxruntime gives what the library gives"
    monkeypatch.setattr(onnx_check, "_agrees_with_onnxruntime", lambda case, got: False)
    outcome = check(changed)
    assert outcome.status == WRONG
    assert outcome.reason.startswith(f"result 0 differs in 1 of {other.size} elements")
    outcome = check(replace(case, outputs=[other.astype(np.int64)]))
    assert outcome.reason.endswith(f"instead of int64{list(other.shape)}")


def test_constants_are_what_says_shapes() -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.INT64, None) for n in ("x", "shape")]
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    graph = helper.make_graph([node], "graph", values, [])
    x, shape = np.arange(6), np.array([2, 3])
    model, inputs = with_constants(helper.make_model(graph), [x, shape], "Reshape")
    assert [value.name for value in model.graph.input] == ["x"]
    assert [tensor.name for tensor in model.graph.initializer] == ["shape"]
    assert inputs == [x]
    assert len(graph.input) == 2


def test_constants_may_be_first_inputs() -> None:
    values = [helper.make_tensor_value_info("shape", TensorProto.INT64, [2])]
    node = helper.make_node("ConstantOfShape", ["shape"], ["y"])
    model = helper.make_model(helper.make_graph([node], "graph", values, []))
    assert with_constants(model, [np.array([2, 3])], "ConstantOfShape")[1] == []
    assert len(with_constants(model, [np.array([2, 3])], "Expand")[1]) == 1


def test_workers_survive_bad_cases(sampled: dict[str, OnnxCase]) -> None:
    good = sampled["test_add_uint8"]
    broken = replace(good, name="broken", inputs=[object()])  # fails outside of what check expects
    found = list(run_checks([broken, good], processes=1, limit_seconds=200))
    assert [(case.name, outcome.status) for case, outcome in found] == [
        ("broken", CRASHED),
        ("test_add_uint8", PASSED),
    ]


def test_workers_stop_slow_cases(sampled: dict[str, OnnxCase]) -> None:
    good = sampled["test_add_uint8"]
    (_, outcome), *rest = run_checks([good], processes=1, limit_seconds=-1e9)
    assert not rest
    assert outcome.status == CRASHED
    assert "took longer" in outcome.reason


RESULTS = [
    Result("node", "Add", "test_add", PASSED),
    Result("node", "Unique", "test_u", REFUSED, "cannot import it at Unique_0 got a | b fix c"),
    Result("node", "Unique", "test_v", PASSED),
    Result("light", "", "vgg", WRONG, "other values"),
]


def test_tables_count_outcomes() -> None:
    assert suite_rows(RESULTS) == [
        {"suite": "nodes", "cases": 3, PASSED: 2, REFUSED: 1, WRONG: 0, CRASHED: 0},
        {"suite": "network topologies", "cases": 1, PASSED: 0, REFUSED: 0, WRONG: 1, CRASHED: 0},
    ]
    (row,) = op_rows(RESULTS[:3])
    assert row["operator"] == "Unique"
    assert row["mostly because"] == "cannot import it: a \\| b"
    text = block(RESULTS)
    assert "all of whose cases pass: Add." in text
    assert "| vgg | wrong | other values |" in text


def test_reasons_are_cut() -> None:
    assert len(short("x" * 500)) == 140
    assert short("a < b") == "a &lt; b"
    assert short("cannot import the operator If at n got it is open fix x") == "it is open"


def test_tables_replace_those_between_the_marks() -> None:
    assert replaced(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(ValueError, match="expected the lines"):
        replaced("no marks", "new")


def test_journal_keeps_the_last_outcome(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    assert read_journal(journal) == {}
    results = [RESULTS[1], replace(RESULTS[1], status=PASSED, reason="")]
    journal.write_text("".join(json.dumps(asdict(result)) + "\n" for result in results))
    assert read_journal(journal) == {("node", "test_u"): results[1]}


@pytest.mark.slow
def test_all_cases() -> None:
    cases = [*node_cases(), *directory_cases(), *light_cases()]
    results = [
        (case, outcome) for case, outcome in run_checks(cases, processes=2, limit_seconds=300)
    ]
    bad = [f"{c.name}: {o.reason}" for c, o in results if o.status in (WRONG, CRASHED)]
    assert not bad
    passed = dict.fromkeys(("node", "directory", "light"), 0)
    for case, outcome in results:
        passed[case.suite] += outcome.status == PASSED
    assert passed["node"] >= 1250
    assert passed["directory"] >= 130
    assert passed["light"] == 9
