from dataclasses import dataclass

import pytest

from penjing.compiler.ir.program import Program
from penjing.compiler.pass_base import Pass, known_passes


@dataclass(frozen=True)
class _Tune(Pass):
    name = "test-tune"
    contract = "lossy"

    ratio: float = 0.5
    criterion: str = "taylor"

    def run(self, program: Program) -> int:
        return 0


class _Plain(Pass):
    name = "test-plain"
    contract = "exact"

    def run(self, program: Program) -> int:
        return 0


def test_text_form_lists_every_option() -> None:
    assert str(_Tune(ratio=0.25)) == "test-tune{ratio=0.25,criterion=taylor}"
    assert str(_Plain()) == "test-plain"


def test_defining_a_pass_registers_it() -> None:
    assert known_passes()["test-tune"] is _Tune
    assert list(known_passes()) == sorted(known_passes())


def test_a_report_belongs_to_one_instance() -> None:
    tune = _Tune()
    tune.report.details["seen"] = 1
    assert _Tune().report.details == {}
    assert tune == _Tune()
    assert tune.report.as_dict()["options"] == {"ratio": 0.5, "criterion": "taylor"}


def test_two_passes_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two passes named test-plain: _Plain, .*Other"):

        class Other(Pass):
            name = "test-plain"
            contract = "exact"


def test_the_same_class_may_be_defined_again() -> None:
    def define() -> type[Pass]:
        class Cell(Pass):
            name = "test-cell"
            contract = "exact"

        return Cell

    define()
    again = define()
    assert known_passes()["test-cell"] is again


@pytest.mark.parametrize("name", ["", "Fold", "fold_relu", "-fold", "fold relu"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="must be like 'fold-relu'"):
        type("Bad", (Pass,), {"name": name, "contract": "exact"})


def test_an_unknown_contract_is_refused() -> None:
    with pytest.raises(TypeError, match="contract must be one of"):
        type("Bad", (Pass,), {"name": "test-bad", "contract": "roughly"})
