"""Text to passes: `fold-batch-norm, fuse-regions{max_ops=32}`."""

import re
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, get_type_hints

from .errors import CompileError
from .option_text import describe, parse_value, split_commas
from .pass_base import Pass, known_passes

_PASS = re.compile(r"(?P<name>[^{}]*?)\s*(\{(?P<options>.*)\})?", re.DOTALL)


def parse(text: str) -> list[Pass]:
    """The passes that `text` lists as `name` or `name{option=value,...}`, separated by commas.

    Raises:
        CompileError: Unbalanced text, an unknown pass or option, or a value of the wrong type.
    """
    return [_parse_pass(part) for part in _split(text)]


def _split(text: str) -> list[str]:
    try:
        return split_commas(text)
    except ValueError as error:
        raise CompileError(
            f"cannot read passes: {error}", got=text, fix='write "name{option=value}, name, ..."'
        ) from error


def _parse_pass(text: str) -> Pass:
    match = _PASS.fullmatch(text)
    if match is None or not match["name"]:
        raise CompileError(
            "expected a pass as name{option=value}",
            got=text or "nothing between two commas",
            fix="separate passes by commas",
        )
    cls = _find_class(match["name"])
    options: dict[str, Any] = {}
    for part in _split(match["options"] or ""):
        key, value = _parse_option(cls, part)
        if key in options:
            raise CompileError(f"option {key} of pass {cls.name} is given twice", got=text)
        options[key] = value
    _check_required(cls, options)
    return cls(**options)


def _find_class(name: str) -> type[Pass]:
    known = known_passes()
    if name not in known:
        raise _unknown(f"unknown pass {name!r}", name, list(known))
    return known[name]


def _parse_option(cls: type[Pass], text: str) -> tuple[str, Any]:
    key, equals, value = (part.strip() for part in text.partition("="))
    hints = get_type_hints(cls)
    kinds = {option.name: hints[option.name] for option in fields(cls) if option.init}
    if not equals:
        raise CompileError(f"expected option=value for pass {cls.name}", got=text or "nothing")
    if key not in kinds:
        raise _unknown(f"pass {cls.name} has no option {key!r}", key, list(kinds))
    try:
        return key, parse_value(value, kinds[key])
    except ValueError as error:
        raise CompileError(
            f"option {key} of pass {cls.name} must be {describe(kinds[key])}: {error}",
            got=f"{key}={value}",
        ) from error


def _check_required(cls: type[Pass], options: dict[str, Any]) -> None:
    for option in fields(cls):
        has_default = option.default is not MISSING or option.default_factory is not MISSING
        if option.init and not has_default and option.name not in options:
            raise CompileError(
                f"pass {cls.name} needs option {option.name}",
                fix=f"write {cls.name}{{{option.name}=...}}",
            )


def _unknown(what: str, name: str, known: list[str]) -> CompileError:
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return CompileError(f"{what}{hint} (known: {', '.join(known) or 'none'})")
