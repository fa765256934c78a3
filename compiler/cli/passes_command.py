"""`penjing passes`."""

import inspect
import json
from argparse import Namespace
from dataclasses import MISSING, Field, fields
from typing import Any

from ... import passes as _  # noqa: F401  # importing the folder registers its passes
from ..option_text import describe, format_value
from ..pass_base import Pass, known_passes


def run(options: Namespace) -> None:
    """List the known passes."""
    rows = [_describe(cls) for cls in known_passes().values()]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['name']} ({row['contract']}): {row['summary']}")
        for option in row["options"]:
            print(f"    {option['name']}: {option['type']} = {option['default']}")


def _describe(cls: type[Pass]) -> dict[str, Any]:
    return {
        "name": cls.name,
        "contract": cls.contract,
        "summary": (inspect.getdoc(cls) or "").partition("\n")[0],
        "options": [
            {"name": option.name, "type": describe(option.type), "default": _default(option)}
            for option in fields(cls)
        ],
    }


def _default(option: "Field[Any]") -> str:
    if option.default is not MISSING:
        return format_value(option.default)
    if option.default_factory is not MISSING:
        return format_value(option.default_factory())
    return "required"
