"""NAME.json: what a compiled model is, how it was made, and the hashes of its files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..targets.microcontrollers import Microcontroller
from ..targets.mobile_gpus import MobileGpu
from ..targets.opencl.kernel import Launch
from ..targets.target import Target
from .errors import CompileError
from .ir.layout import channels_last_shape
from .ir.tensor_spec import TensorSpec

FORMAT = "penjing-artifact"
FORMAT_VERSION = 1
_OPTIONAL = ("channels_last", "scale", "zero_point")  # of a tensor
_WIDEST = 60  # characters of a call's description


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One input or output.

    Attributes:
        name: What the user calls it.
        spec: As the user's model has it, [N, C, H, W].
        channels_last: Whether the C function has it as [N, H, W, C].
        scale: Of int8 that stand for real numbers, scale * (q - zero_point); None for all others.
        zero_point: The integer that stands for 0.
    """

    name: str
    spec: TensorSpec
    channels_last: bool = False
    scale: float | None = None
    zero_point: int = 0

    @property
    def stored(self) -> TensorSpec:
        """As the C function has it."""
        if not self.channels_last:
            return self.spec
        return TensorSpec(channels_last_shape(self.spec.shape), self.spec.dtype)


@dataclass(frozen=True, kw_only=True)
class CallEntry:
    """One kernel call: its work, and what of the user's model it computes."""

    kernel: str
    macs: int
    bytes: int  # read and written
    ops: tuple[str, ...]
    modules: tuple[str, ...]
    launches: tuple[Launch, ...] = ()  # on a GPU, one after the other

    def __str__(self) -> str:
        ops = ", ".join(dict.fromkeys(op.removeprefix("aten.") for op in self.ops))
        modules = ", ".join(filter(None, self.modules))
        text = f"{ops}: {modules}" if modules else ops
        return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Totals of a compiled model, in bytes and multiply-adds."""

    library_bytes: int  # the shared library as a file
    code_bytes: int  # its machine code
    weights_bytes: int  # in the library or in the weights file
    arena_bytes: int
    arena_lower_bound_bytes: int  # no memory plan could need less
    macs: int
    stack_bytes: int = 0  # of a microcontroller's run function; 0 = not known
    instructions: int = 0  # executed in one inference, on a microcontroller; 0 = not known


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is known about an artifact without opening its other files.

    It holds no times and no paths: two builds of the same model with the same tools have the same
    manifest.
    """

    name: str
    target: Target
    threads: int
    weights: str  # "embed" or "file"
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    passes: tuple[dict[str, Any], ...]  # one per pass run: name, options, rewrites, ...
    calls: tuple[CallEntry, ...]
    sizes: Sizes
    tools: dict[str, str]  # name -> version
    source_sha256: str  # of the program's text and weights
    files: dict[str, str]  # file name -> SHA-256 of its content

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain data."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        content["target"] = asdict(self.target)
        content["inputs"] = [_tensor_to_json(tensor) for tensor in self.inputs]
        content["outputs"] = [_tensor_to_json(tensor) for tensor in self.outputs]
        content["calls"] = [call_to_json(call) for call in self.calls]
        content["sizes"] = asdict(self.sizes)
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **content}

    def write(self, path: Path) -> None:
        """Write the manifest as text."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """The manifest in a file.

        Raises:
            CompileError: The file is no manifest, or one of another version of penjing.
        """
        try:
            return _from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise CompileError(
                "not the manifest of a compiled model",
                at=str(path),
                got=str(error) or type(error).__name__,
                fix="give the folder that artifact.save() wrote, or its NAME.json",
            ) from error


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _from_json(content: Mapping[str, Any]) -> Manifest:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}")
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"version {content['format_version']}, this penjing reads {FORMAT_VERSION}"
        )
    values: dict[str, Any] = {
        "target": _target_from_json(content["target"]),
        "inputs": tuple(map(_tensor_from_json, content["inputs"])),
        "outputs": tuple(map(_tensor_from_json, content["outputs"])),
        "passes": tuple(content["passes"]),
        "calls": tuple(map(_call_from_json, content["calls"])),
        "sizes": Sizes(**content["sizes"]),
    }
    plain = ("name", "threads", "weights", "tools", "source_sha256", "files")
    return Manifest(**values, **{name: content[name] for name in plain})


def _target_from_json(content: Mapping[str, Any]) -> Target:
    kinds: dict[str, type[Target]] = {"gcc_flags": Microcontroller, "compute_units": MobileGpu}
    kind = next((kind for field, kind in kinds.items() if field in content), Target)
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
    }
    return kind(**values)


def call_to_json(call: CallEntry) -> dict[str, Any]:
    """A call as plain data."""
    content = asdict(call)
    return content if call.launches else {k: v for k, v in content.items() if k != "launches"}


def _call_from_json(content: Mapping[str, Any]) -> CallEntry:
    launches = (_launch_from_json(launch) for launch in content.get("launches", ()))
    lists = {"ops": tuple(content["ops"]), "modules": tuple(content["modules"])}
    return CallEntry(**{**content, **lists, "launches": tuple(launches)})


def _launch_from_json(content: Mapping[str, Any]) -> Launch:
    lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Launch(**{**content, **lists})


def _tensor_to_json(tensor: TensorEntry) -> dict[str, Any]:
    spec = tensor.spec
    content = {
        "name": tensor.name,
        "dtype": spec.dtype,
        "shape": list(spec.shape),
        "bytes": spec.nbytes,
    }
    if tensor.channels_last:
        content["channels_last"] = True
    if tensor.scale is not None:
        content |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return content


def _tensor_from_json(content: Mapping[str, Any]) -> TensorEntry:
    spec = TensorSpec(tuple(content["shape"]), content["dtype"])
    optional = {key: content[key] for key in _OPTIONAL if key in content}
    return TensorEntry(name=content["name"], spec=spec, **optional)
