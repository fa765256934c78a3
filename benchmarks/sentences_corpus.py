"""English sentences that every installation has: documentation and licenses of its packages.

Nothing is downloaded, and the versions that constraints.txt pins always give the same sentences.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from pydoc_data.topics import topics

# Modules whose documentation is prose about more than programming.
DOCUMENTED = (
    "networkx",
    "numpy",
    "numpy.linalg",
    "scipy.optimize",
    "scipy.signal",
    "scipy.stats",
    "sklearn.datasets",
    "sympy",
    "torch.nn",
)
LICENSED = ("numpy", "pillow", "scipy", "torch")

_SENTENCE_ENDS = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()/-]+[.!?]")


@functools.cache
def documentation() -> tuple[str, ...]:
    """Sentences of Python's language reference, of data sets' descriptions and of docstrings."""
    reference = [topics[name] for name in sorted(topics)]
    return sentences([*reference, *_descriptions(), *_docstrings()])


@functools.cache
def licenses() -> tuple[str, ...]:
    """Sentences of the licenses that come with packages, neighbors in their text side by side."""
    files = [file for name in LICENSED for file in metadata.files(name) or []]
    chosen = (file for file in files if "dist-info" in str(file) and "LICEN" in file.name.upper())
    located = sorted((Path(str(file.locate())) for file in chosen), key=str)
    return sentences(path.read_text(errors="ignore") for path in located if path.is_file())


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


def _descriptions() -> Iterator[str]:
    """What scikit-learn says of its data sets: flowers, wine, houses, faces."""
    folder = Path(importlib.import_module("sklearn.datasets").__path__[0]) / "descr"
    for path in sorted(folder.glob("*.rst")):
        yield path.read_text()


def _docstrings() -> Iterator[str]:
    for name in DOCUMENTED:
        module = importlib.import_module(name)
        for attribute in getattr(module, "__all__", sorted(vars(module))):
            yield inspect.getdoc(getattr(module, attribute, None)) or ""
