"""`penjing profile`."""

import json
from argparse import Namespace
from dataclasses import replace

from ..artifact import load
from .arrays import read_inputs


def run(options: Namespace) -> None:
    """Print what each kernel call of a saved artifact costs, or the most expensive ones."""
    artifact = load(options.directory)
    profile = artifact.profile(
        *read_inputs(options.input, artifact.manifest.inputs, seed=options.seed)
    )
    if options.json:
        print(json.dumps(profile.to_json(), indent=1))
        return
    if options.top is None:
        print(profile)
        return
    rows = sorted(profile.rows, key=lambda row: row.cost, reverse=True)
    lines = str(replace(profile, rows=tuple(rows), launches=())).splitlines()
    print("\n".join([*lines[: options.top + 1], lines[-1]]))
