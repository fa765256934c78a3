"""Refuse the TVM builds that are known to crash, before any of their code runs."""

from importlib.metadata import PackageNotFoundError, version

from ..errors import CompileError

# tvm-ffi 0.1.15* (which pip picks when nothing pins it) segfaults in Schedule.tensorize and
# save_json with tvm 0.27.0.post1; 0.1.14.post1 does not. docs/decisions/006.
REQUIRED = {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1"}


def check_tvm_version() -> None:
    """Raise a `CompileError` unless the installed TVM packages are the ones that work."""
    found = {package: _installed(package) for package in REQUIRED}
    if found != REQUIRED:
        raise CompileError(
            "penjing needs the exact TVM versions it was tested with",
            got=", ".join(f"{package} {seen}" for package, seen in found.items()),
            fix="pip install " + " ".join(f"{name}=={wanted}" for name, wanted in REQUIRED.items()),
        )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
