import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.option_text import describe, format_options, parse_value, split_commas
from penjing.compiler.option_text import format_value as text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (-3, "-3"),
        (0.5, "0.5"),
        ("taylor", "taylor"),
        ("conv/1.weight", "conv/1.weight"),
        ("none", '"none"'),
        ("5", '"5"'),
        ('a "b", {c}', '"a \\"b\\", {c}"'),
        ((1, 2), "(1,2)"),
        (["a", "b c"], '[a,"b c"]'),
        (object(), "<object>"),
    ],
)
def test_values_have_one_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_options_are_listed_in_order() -> None:
    options = {"ratio": 0.5, "criterion": "taylor", "layers": (1, 2)}
    assert format_options(options) == "{ratio=0.5,criterion=taylor,layers=(1,2)}"
    assert format_options({}) == ""


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3),
        ("3", float, 3.0),
        ("1e-3", float, 0.001),
        ("true", bool, True),
        ("x{y=(1,2)}", str, "x{y=(1,2)}"),
        ("none", int | None, None),
        ("none", str | None, None),
        ('"none"', str | None, "none"),
        ("5", int | str, 5),
        ('"5"', int | str, "5"),
        ("magnitude", Literal["taylor", "magnitude"], "magnitude"),
        ("(1,2,3)", tuple[int, ...], (1, 2, 3)),
        ("(1,a)", tuple[int, str], (1, "a")),
        ("((1,2),(3,4))", tuple[tuple[int, int], ...], ((1, 2), (3, 4))),
        ("[]", list[float], []),
    ],
)
def test_the_type_decides_what_text_means(text: str, kind: Any, value: object) -> None:
    got = parse_value(text, kind)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("half", float),
        ("0.5", int),
        ("yes", bool),
        ("entropy", Literal["taylor", "magnitude"]),
        ("1,2", tuple[int, ...]),
        ("(1,2,3)", tuple[int, int]),
        ('"open', str),
        ("1", dict),
    ],
)
def test_text_of_another_type_is_refused(text: str, kind: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_value(text, kind)


def test_commas_inside_brackets_and_quotes_do_not_split() -> None:
    assert split_commas('a{b=(1,2)}, "c,}\\"", d') == ["a{b=(1,2)}", '"c,}\\""', "d"]
    assert split_commas("  ") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a{b", "missing closing '}'"),
        ("a}", "'}' at column 2 closes nothing"),
        ("a{(b}", "'}' at column 5 closes nothing"),
        ('"a', "missing closing '\"'"),
    ],
)
def test_unbalanced_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        split_commas(text)


def test_types_are_described_in_words() -> None:
    assert describe(int | None) == "int or none"
    assert describe(Literal["a", 2]) == "a or 2"
    assert describe(tuple[float, ...]) == "(float,...)"


@given(st.text())
def test_any_string_survives(value: str) -> None:
    assert parse_value(text_of(value), str) == value
    assert split_commas(text_of(value)) == [text_of(value)]


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))))
def test_any_list_survives(value: list[Any]) -> None:
    assert parse_value(text_of(value), list[bool | int | float | None]) == value
