"""English sentences that every installation has: documentation and licenses of its packages.

Nothing is downloaded, and the versions that constraints.txt pins always give the same sentences.
Most documents calibrate, the others judge: no sentence of the ones is among those of the others.
"""

import functools
import re
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics

PACKAGES = ("PIL", "matplotlib", "networkx", "numpy", "scipy", "sklearn", "sympy", "torch")
LICENSED = ("matplotlib", "networkx", "numpy", "pillow", "scikit-learn", "scipy", "sympy", "torch")
JUDGES_EVERY = 4  # document

_SENTENCE_ENDS = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
_DOCSTRING = re.compile(r'"""(.+?)"""', re.DOTALL)
_NO_DOCUMENTATION = {"idlelib", "site-packages", "test", "tests"}
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()/-]+[.!?]")


@functools.cache
def calibrating() -> tuple[str, ...]:
    """Sentences to calibrate and to train with."""
    return tuple(dict.fromkeys((*calibrating_documentation(), *calibrating_licenses())))


@functools.cache
def calibrating_documentation() -> tuple[str, ...]:
    """Those of `calibrating` that are from documentation."""
    return _not_judging(_documentation())


@functools.cache
def calibrating_licenses() -> tuple[str, ...]:
    """Those of `calibrating` that are from licenses."""
    return _not_judging(_licenses())


@functools.cache
def judging_documentation() -> tuple[str, ...]:
    """Sentences of documents that none of `calibrating` is among, neighbors side by side."""
    return _unseen(_documentation()[::JUDGES_EVERY])


@functools.cache
def judging_licenses() -> tuple[str, ...]:
    """Sentences of licenses that none of `calibrating` is among, neighbors side by side."""
    return _unseen(_licenses()[::JUDGES_EVERY])


def sentences(texts: Iterable[str]) -> tuple[str, ...]:
    """The sentences of 6 to 40 words of letters, figures and punctuation, each once."""
    paragraphs = (part for text in texts for part in re.split(r"\n\s*\n", text))
    pieces = (
        piece for part in paragraphs for piece in _SENTENCE_ENDS.split(" ".join(part.split()))
    )
    return tuple(dict.fromkeys(piece for piece in pieces if _is_prose(piece)))


def _is_prose(text: str) -> bool:
    words = text.split()
    small = sum(word.islower() for word in words)
    is_text = small > len(words) / 2 and "--" not in text  # no heading of a list of parameters
    return 6 <= len(words) <= 40 and is_text and bool(_PROSE.fullmatch(text))


@functools.cache
def _documentation() -> list[str]:
    """Topics of Python's manual, and what each source file of Python and of packages says."""
    folders = [Path(sysconfig.get_path("stdlib")), *map(_folder, PACKAGES)]
    files = (text for folder in folders for text in _docstrings(folder))
    return [*(topics[name] for name in sorted(topics)), *files]


def _docstrings(folder: Path) -> Iterator[str]:
    """What stands between triple quotes in each file, tests apart."""
    for path in sorted(folder.rglob("*.py")):
        if _NO_DOCUMENTATION.isdisjoint(path.relative_to(folder).parts):
            yield "\n\n".join(_DOCSTRING.findall(path.read_text(errors="ignore")))


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec and spec.origin, package
    return Path(spec.origin).parent


@functools.cache
def _licenses() -> list[str]:
    files = [file for name in LICENSED for file in metadata.files(name) or []]
    chosen = (file for file in files if "dist-info" in str(file) and "LICEN" in file.name.upper())
    paths = sorted((Path(str(file.locate())) for file in chosen), key=str)
    return [path.read_text(errors="ignore") for path in paths if path.is_file()]


def _not_judging(texts: Sequence[str]) -> tuple[str, ...]:
    return sentences(text for number, text in enumerate(texts) if number % JUDGES_EVERY)


def _unseen(texts: Sequence[str]) -> tuple[str, ...]:
    seen = set(map(_key, calibrating()))
    return tuple(text for text in sentences(texts) if _key(text) not in seen)


def _key(text: str) -> str:
    """What two sentences that differ in figures and punctuation have in common."""
    return "".join(letter for letter in text.lower() if letter.isalpha())
