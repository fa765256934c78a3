"""The registry of layers, and targets that are microcontrollers."""

from types import SimpleNamespace

import pytest

from penjing import targets
from penjing.targets.cortex_m import layer
from penjing.targets.cortex_m.layer import Layer, NodeArguments, Operand, lowers_layer, variants
from penjing.targets.microcontrollers import CORTEX_M4, Microcontroller, size_in_bytes

NODE = NodeArguments(
    "test.relu", (Operand("x", (1, 2, 2, 4), "int8"),), Operand("y", (1, 2, 2, 4), "int8")
)


def _function(parameters: int) -> SimpleNamespace:
    return SimpleNamespace(params=[None] * parameters)


@pytest.fixture(autouse=True)
def _own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "_RULES", {})


def test_the_fastest_variant_comes_first() -> None:
    slow, fast = Layer(_function(2), cost=2.0), Layer(_function(3), scratch_bytes=8, cost=1.0)
    lowers_layer("test.relu")(lambda node, core: [slow, fast])
    assert variants(NODE, CORTEX_M4) == [fast, slow]


def test_an_operator_without_a_rule_has_no_variants() -> None:
    assert variants(NODE, CORTEX_M4) == []


def test_several_rules_may_know_an_operator() -> None:
    slow, fast = Layer(_function(2), cost=2.0), Layer(_function(3), scratch_bytes=8, cost=1.0)
    lowers_layer("test.relu")(lambda node, core: [slow])
    lowers_layer("test.relu")(lambda node, core: [fast])
    assert variants(NODE, CORTEX_M4) == [fast, slow]


def test_layers_that_break_the_contract_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        Layer(_function(2), scratch_bytes=4)
    lowers_layer("test.relu")(lambda node, core: [Layer(_function(3))])
    with pytest.raises(ValueError, match="3 parameters instead of 2"):
        variants(NODE, CORTEX_M4)


def test_memory_is_given_by_name_or_text() -> None:
    by_name = targets.get("cortex-m4", flash="1MB", ram="256KB")
    assert isinstance(by_name, Microcontroller)
    assert (by_name.flash_bytes, by_name.ram_bytes) == (1 << 20, 256 << 10)
    assert targets.get("cortex-m4,flash=1MB,ram=256KB") == by_name
    assert size_in_bytes("1.5KB") == 1536


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cortex-m4,flash", "got 'flash'"),
        ("cortex-m4,rom=1MB", "got 'rom=1MB'"),
        ("cortex-m4,ram=many", "number with KB or MB, got 'many'"),
        ("arm-a72,ram=1MB", "no microcontroller"),
    ],
)
def test_wrong_memory_is_refused(text: str, problem: str) -> None:
    with pytest.raises(targets.WrongTargetOption, match=problem):
        targets.get(text)
