"""The parent's side: files of a network for a runtime, and the process that runs them."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..networks import SUFFIX

ROOT = Path(__file__).parents[2]
# What a runtime, and what its conversion, need to import; its version is that of the first.
_MODULES = {
    "penjing": (["penjing"], ["penjing"]),
    "onnxruntime": (["onnxruntime"], ["torch", "onnxscript"]),
    "openvino": (["openvino"], ["torch", "onnxscript"]),
    "ncnn": (["ncnn"], ["torch", "pnnx"]),
    "executorch": (["executorch"], ["executorch"]),
    "litert": (["ai_edge_litert"], ["litert_torch"]),
    "eager": (["torch"], ["torch"]),
    "inductor": (["torch"], ["torch"]),
    "penjing-opencl": (["penjing"], ["penjing"]),
    "penjing-fallback": (["penjing"], ["penjing"]),
    "tvm-opencl": (["tvm"], ["torch", "tvm"]),
    "ncnn-vulkan": (["ncnn"], ["torch", "pnnx"]),
}
_PACKAGES = {"tvm": "apache-tvm"}  # where the names of modules do not say
_SOURCES = ("networks.py", "gpt2.py", "layers.py", "peers/quantize.py")
_CONVERSIONS = "1"  # other files after a change in convert.py: another number


class Peer:
    """A process with one loaded model. `facts` is what its worker said first.

    Args:
        runtime: Its name.
        folder: What `prepare` made.
        threads: Of one inference.
        cores: What it may run on.
        pythons: Interpreters, of which the first that has the runtime is used.
        root: Where this project is; another commit may be measured.
    """

    def __init__(
        self,
        runtime: str,
        folder: Path,
        threads: int,
        cores: Sequence[int],
        pythons: Sequence[str],
        root: Path = ROOT,
    ) -> None:
        python = find_python(pythons, _MODULES[runtime][0])
        assert python is not None, runtime
        places = ",".join(map(str, cores))
        module = [python, "-m", "benchmarks.peers.worker"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [*module, runtime, str(folder), str(threads), places],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=root,
            env=environment,
        )
        self.facts = {"refused": "", **self._read()}

    def run(self, times: int) -> dict[str, Any]:
        """Nanoseconds of each of some inferences ("wall"), and of the CPU for each ("cpu")."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return {"refused": f"its process ended with code {self._process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer


def prepare(
    runtime: str,
    network: str,
    threads: int,
    cache_folder: Path,
    pythons: Sequence[str],
    root: Path = ROOT,
) -> tuple[Path, str]:
    """The folder with the network converted for a runtime, and the reason if there is none.

    Conversions are kept, also those that failed; penjing compiles anew.
    """
    run_with = find_python(pythons, _MODULES[runtime][0])
    convert_with = find_python(pythons, _to_convert(runtime, network))
    folder = cache_folder / f"{network}-{_key()}" / _folder_name(runtime, threads, run_with)
    if run_with is None or convert_with is None:
        return folder, "not installed"
    if _is_own(runtime):
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / "network").exists():
        converter = f"penjing-{threads}" if runtime == "penjing" else runtime
        _convert(convert_with, folder, network, converter, root)
    refused = folder / "refused"
    return folder, refused.read_text() if refused.exists() else ""


def _to_convert(runtime: str, network: str) -> Sequence[str]:
    """What a conversion needs to import; onnxruntime's tool quantizes for others, too."""
    modules = _MODULES[runtime][1]
    quantizes = network.endswith(SUFFIX) and "onnxscript" in modules
    return [*modules, "onnxruntime"] if quantizes else modules


def _convert(python: str, folder: Path, network: str, converter: str, root: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [python, "-m", "benchmarks.peers.convert", converter, network, str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        (folder / "refused").write_text(last[:160])
    (folder / "network").write_text(network)  # last: the folder is whole


def _is_own(runtime: str) -> bool:
    return runtime.startswith("penjing")


def _folder_name(runtime: str, threads: int, python: str | None) -> str:
    if _is_own(runtime):
        return f"{runtime}-{threads}"
    return f"{runtime}-{runtime_version(runtime, [python] if python else [])}"


@cache
def _key() -> str:
    """Changes when the networks or the conversions do."""
    folder = ROOT / "benchmarks"
    texts = [(folder / source).read_bytes() for source in _SOURCES if (folder / source).exists()]
    return sha256(b"".join([*texts, _CONVERSIONS.encode()])).hexdigest()[:12]


def runtime_version(runtime: str, pythons: Sequence[str]) -> str:
    """Its version, or "" if it is not installed."""
    python = find_python(pythons, _MODULES[runtime][0])
    if python is None:
        return ""
    module = _MODULES[runtime][0][0]
    package = _PACKAGES.get(module, module.replace("_", "-"))
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def find_python(pythons: Sequence[str], modules: Sequence[str]) -> str | None:
    """The first interpreter that has all the modules."""
    return next((python for python in pythons if _has(python, tuple(modules))), None)


@cache
def _has(python: str, modules: tuple[str, ...]) -> bool:
    code = "import sys; from importlib.util import find_spec"
    code += f"; sys.exit(not all(map(find_spec, {list(modules)!r})))"
    return not subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True).returncode
