"""English sentences that every installation has: documentation and licenses of its packages.

Nothing is downloaded, and the versions that constraints.txt pins always give the same sentences.
Some packages calibrate, others judge: no sentence of the ones is among those of the others.
"""

import functools
import re
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics

CALIBRATING = ("matplotlib", "networkx", "numpy", "sklearn", "torch")  # and Python itself
JUDGING = ("PIL", "scipy", "sympy")
CALIBRATING_LICENSES = ("matplotlib", "networkx", "numpy", "scikit-learn", "torch")
JUDGING_LICENSES = ("pillow", "scipy", "sympy")

_DOCSTRING = re.compile(r'"""(.+?)"""', re.DOTALL)
_NO_DOCUMENTATION = {"idlelib", "site-packages", "test", "tests"}
_SENTENCE_ENDS = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()/-]+[.!?]")


@functools.cache
def calibrating() -> tuple[str, ...]:
    """Sentences to calibrate and to train with: of Python's manual, documentation and licenses."""
    manual = [topics[name] for name in sorted(topics)]
    python = _docstrings(Path(sysconfig.get_path("stdlib")))
    licenses = _licenses(CALIBRATING_LICENSES)
    return sentences([*manual, *python, *_documentation(CALIBRATING), *licenses])


@functools.cache
def judging_documentation() -> tuple[str, ...]:
    """Sentences of documentation that none of `calibrating` is among, neighbors side by side."""
    return _unseen(sentences(_documentation(JUDGING)))


@functools.cache
def judging_licenses() -> tuple[str, ...]:
    """Sentences of licenses that none of `calibrating` is among, neighbors side by side."""
    return _unseen(sentences(_licenses(JUDGING_LICENSES)))


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
    return 6 <= len(words) <= 40 and bool(_PROSE.fullmatch(text)) and small > len(words) / 2


def _documentation(packages: Iterable[str]) -> Iterator[str]:
    for name in packages:
        spec = find_spec(name)
        assert spec and spec.origin, name
        yield from _docstrings(Path(spec.origin).parent)


def _docstrings(folder: Path) -> Iterator[str]:
    """What stands between triple quotes in the sources of a package, tests apart."""
    for path in sorted(folder.rglob("*.py")):
        if _NO_DOCUMENTATION.isdisjoint(path.relative_to(folder).parts):
            yield from _DOCSTRING.findall(path.read_text(errors="ignore"))


def _licenses(packages: Iterable[str]) -> Iterator[str]:
    files = [file for name in packages for file in metadata.files(name) or []]
    chosen = (file for file in files if "dist-info" in str(file) and "LICEN" in file.name.upper())
    for path in sorted((Path(str(file.locate())) for file in chosen), key=str):
        if path.is_file():
            yield path.read_text(errors="ignore")


def _unseen(texts: Iterable[str]) -> tuple[str, ...]:
    seen = set(map(_key, calibrating()))
    return tuple(text for text in texts if _key(text) not in seen)


def _key(text: str) -> str:
    """What two sentences that differ in figures and punctuation have in common."""
    return "".join(letter for letter in text.lower() if letter.isalpha())
