"""Runs launches from a folder on the first device: python -m tests.opencl.replay FOLDER.

The folder has job.json and arrays.npz; results.npz is written beside them.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.opencl.device import find_device


def main(folder: Path) -> None:
    """Run what the folder describes."""
    job = json.loads((folder / "job.json").read_text())
    device = find_device()
    assert device is not None
    launches = [SimpleNamespace(**launch) for launch in job["launches"]]
    with np.load(folder / "arrays.npz") as given:
        arrays = [given[f"arr_{index}"] for index in range(len(given.files))]
    results = device.run(
        device.build(job["source"], job["options"]), launches, arrays, job["starts"]
    )
    np.savez(folder / "results.npz", *results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
