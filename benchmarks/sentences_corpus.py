"""English sentences that every installation has: documentation and licenses of its packages.

Nothing is downloaded, and the versions that constraints.txt pins always give the same sentences.
Some packages calibrate, others judge: no sentence of the ones is among those of the others.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from pydoc_data.topics import topics

CALIBRATING = (
    *("argparse", "asyncio", "email", "http.client", "logging", "os", "random", "socket"),
    *("sqlite3", "ssl", "statistics", "threading", "tkinter", "turtle", "unittest"),
    *("matplotlib.pyplot", "networkx", "numpy", "numpy.linalg", "numpy.ma", "numpy.random"),
    *("sklearn.cluster", "sklearn.datasets", "sklearn.decomposition", "sklearn.ensemble"),
    *("sklearn.linear_model", "sklearn.metrics", "sklearn.preprocessing"),
    *("torch", "torch.distributions", "torch.nn", "torch.nn.functional", "torch.optim"),
)
JUDGING = (
    *("PIL.Image", "PIL.ImageDraw", "PIL.ImageFont"),
    *("scipy.cluster.hierarchy", "scipy.integrate", "scipy.interpolate", "scipy.linalg"),
    *("scipy.ndimage", "scipy.optimize", "scipy.signal", "scipy.sparse", "scipy.spatial"),
    *("scipy.special", "scipy.stats", "sympy"),
)
CALIBRATING_LICENSES = ("matplotlib", "numpy", "torch")
JUDGING_LICENSES = ("pillow", "scipy")

_SENTENCE_ENDS = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'\"()/-]+[.!?]")


@functools.cache
def calibrating() -> tuple[str, ...]:
    """Sentences to calibrate and to train with.

    They are from Python's language reference, descriptions of data sets, documentation, licenses.
    """
    reference = [topics[name] for name in sorted(topics)]
    licenses = _licenses(CALIBRATING_LICENSES)
    return sentences([*reference, *_descriptions(), *_documentation(CALIBRATING), *licenses])


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


def _descriptions() -> Iterator[str]:
    """What scikit-learn says of its data sets: flowers, wine, houses, faces."""
    folder = Path(importlib.import_module("sklearn.datasets").__path__[0]) / "descr"
    for path in sorted(folder.glob("*.rst")):
        yield path.read_text()


def _documentation(modules: Iterable[str]) -> Iterator[str]:
    """What is said of all that the modules offer, and of what its classes do."""
    for name in modules:
        module = importlib.import_module(name)
        for attribute in getattr(module, "__all__", sorted(vars(module))):
            offered = getattr(module, attribute, None)
            yield inspect.getdoc(offered) or ""
            if inspect.isclass(offered):
                methods = (value for _, value in sorted(vars(offered).items()) if callable(value))
                yield from (inspect.getdoc(method) or "" for method in methods)


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
