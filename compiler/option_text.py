"""Option values as text and back: `{ratio=0.5,layers=(1,2),criterion=taylor}`.

A value is written bare (`0.5`, `true`, `none`, `taylor`), in double quotes with JSON escapes, or as
a list of values in `(...)` or `[...]`. What a bare word means is decided by the option's type.
"""

import json
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

_BARE = re.compile(r"[A-Za-z_][\w./-]*")
_RESERVED = ("true", "false", "none")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def format_options(options: Mapping[str, Any]) -> str:
    """`{name=value,...}`, or nothing where there are no options."""
    if not options:
        return ""
    return "{" + ",".join(f"{name}={format_value(value)}" for name, value in options.items()) + "}"


def format_value(value: object) -> str:
    """The text of one value; `<type>` for what has none, which `parse_value` will refuse."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        bare = _BARE.fullmatch(value) and value not in _RESERVED
        return value if bare else json.dumps(value, ensure_ascii=False)
    if isinstance(value, (tuple, list)):
        items = ",".join(map(format_value, value))
        return f"({items})" if isinstance(value, tuple) else f"[{items}]"
    return f"<{type(value).__name__}>"


def plain_value(value: object) -> Any:
    """The value itself where it has a text form; `<type>`, also inside of lists, for the others."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain_value, value))
    return value if value is None or isinstance(value, (int, float, str)) else format_value(value)


def split_commas(text: str) -> list[str]:
    """The stripped parts between commas that lie outside brackets and quotes; [] for blank text.

    Raises:
        ValueError: A bracket or quote is not closed, or closed without being open.
    """
    parts, start, expected = [], 0, ""
    quoted = escaped = False
    for position, char in enumerate(text):
        if quoted:
            quoted = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in _CLOSING:
            expected += _CLOSING[char]
        elif char in _CLOSING.values():
            if not expected.endswith(char):
                raise ValueError(f"{char!r} at column {position + 1} closes nothing")
            expected = expected[:-1]
        elif char == "," and not expected:
            parts.append(text[start:position].strip())
            start = position + 1
    if quoted or expected:
        raise ValueError("missing closing " + repr('"' if quoted else expected[-1]))
    last = text[start:].strip()
    return [*parts, last] if parts or last else []


def parse_value(text: str, kind: Any) -> Any:
    """`text` as a value of the annotation `kind`.

    Raises:
        ValueError: The text is not such a value.
    """
    if get_origin(kind) in (Union, types.UnionType):
        return _parse_first(text, get_args(kind))
    if get_origin(kind) is Literal:
        return _parse_first(text, [type(choice) for choice in get_args(kind)], get_args(kind))
    if kind in (tuple, list) or get_origin(kind) in (tuple, list):
        return _parse_sequence(text, kind)
    parser = _SCALARS.get(kind)
    if parser is None:
        raise ValueError("has no text form; build the pass in Python")
    return parser(text)


def describe(kind: Any) -> str:
    """`kind` in words for an error message."""
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(map(describe, get_args(kind)))
    if get_origin(kind) is Literal:
        return " or ".join(map(format_value, get_args(kind)))
    if kind is types.NoneType:
        return "none"
    if get_origin(kind) in (tuple, list):
        items = ",".join("..." if item is ... else describe(item) for item in get_args(kind))
        return f"({items})"
    return str(getattr(kind, "__name__", kind))


def _parse_first(text: str, kinds: Any, choices: tuple[Any, ...] | None = None) -> Any:
    """The first of `kinds` that can read the text; str reads anything, so it comes last."""
    for kind in sorted(kinds, key=lambda kind: kind is str):
        try:
            value = parse_value(text, kind)
        except ValueError:
            continue
        if choices is None or value in choices:
            return value
    raise ValueError("not one of the accepted values")


def _parse_sequence(text: str, kind: Any) -> Any:
    if text[:1] + text[-1:] not in ("()", "[]"):
        raise ValueError("not a list in parentheses")
    parts = split_commas(text[1:-1])
    container, kinds = get_origin(kind) or kind, get_args(kind) or (str, ...)
    if container is list or kinds[1:] == (...,):
        kinds = (kinds[0],) * len(parts)
    if len(kinds) != len(parts):
        raise ValueError(f"{len(parts)} items instead of {len(kinds)}")
    return container(parse_value(part, kind) for part, kind in zip(parts, kinds, strict=True))


def _parse_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text == "true"


def _parse_none(text: str) -> None:
    if text != "none":
        raise ValueError("not none")


def _parse_str(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"bad quoting: {error.msg}") from error
    if not isinstance(value, str):
        raise ValueError("not one quoted text")
    return value


_SCALARS: dict[Any, Any] = {
    bool: _parse_bool,
    int: int,
    float: float,
    str: _parse_str,
    types.NoneType: _parse_none,
}
