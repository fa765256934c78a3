"""The benchmarks: their networks are what they say, and their numbers are counted right."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import peer_counts, ratios, readme, table
from benchmarks.cpu import Options, measure
from benchmarks.gpt2 import Gpt2Step
from benchmarks.layers import LAYERS
from benchmarks.networks import build_float

# Millions of multiply-adds in convolutions and products, as published for these networks.
PUBLISHED = {
    "mobilenet_v2": 300.8,
    "resnet18": 1814.1,
    "resnet50": 4089.2,
    "gpt2_decode": 128.3,  # of them 4.7 in attention, 38.6 in the logits
    "ds_cnn": 2.66,
    "resnet8": 12.5,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_do_the_work_that_is_published(name: str) -> None:
    with torch.device("meta"), torch.no_grad():
        model, inputs = build_float(name)
        with FlopCounterMode(display=False) as counter:
            model(*inputs)
    assert counter.get_total_flops() / 2e6 == pytest.approx(PUBLISHED[name], rel=2e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_end_with_the_shape_they_began_with(name: str) -> None:
    with torch.device("meta"):
        model, inputs = build_float(name)
        assert model(*inputs).shape == inputs[0].shape


def test_gpt2_has_the_values_of_transformers() -> None:
    from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=3)
    theirs = GPT2LMHeadModel(config).eval()
    ours = Gpt2Step(24, 3, 2, tokens=50, positions=16).eval()
    ours.load_state_dict(_renamed(theirs.transformer.state_dict()))
    caches = [torch.randn(1, 3, 5, 8) for _ in range(4)]
    pairs = [(caches[2 * layer], caches[2 * layer + 1]) for layer in range(2)]
    with torch.no_grad():
        logits, *grown = ours(torch.tensor([[7]]), torch.tensor([[5]]), *caches)
        expected = theirs(torch.tensor([[7]]), past_key_values=DynamicCache(pairs))
    torch.testing.assert_close(logits, expected.logits, rtol=1e-5, atol=1e-5)
    assert [cache.shape for cache in grown] == [(1, 3, 6, 8)] * 4


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of transformers' GPT-2 by our names; its products keep weights transposed."""
    names = {
        "wte": "token",
        "wpe": "position",
        "ln_f": "norm",
        "h.": "blocks.",
        "ln_1": "norm1",
        "ln_2": "norm2",
        "attn.c_attn": "queries_keys_values",
        "attn.c_proj": "project",
        "mlp.c_fc": "expand",
        "mlp.c_proj": "contract",
    }
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        transposed = "attn.c" in name or "mlp.c" in name
        for old, new in names.items():
            name = name.replace(old, new)
        renamed[name] = tensor.T if transposed and tensor.ndim == 2 else tensor
    return renamed


def test_a_runtime_that_is_not_installed_is_said_to_be() -> None:
    rows = measure("resnet8", 1, _options(Path("unused"), ["ncnn", "penjing"], python=[]))
    assert [row["refused"] for row in rows] == ["not installed"] * 2


def test_a_network_is_checked_and_timed(tmp_path: Path) -> None:
    options = _options(tmp_path, ["penjing"], python=[sys.executable])
    (row,) = measure("resnet8", 1, options)
    assert row["refused"] == ""
    assert row["error"] < 1e-4
    assert 0 < row["wall p20 ms"] <= row["wall ms"] <= row["wall p80 ms"]
    assert row["peak bytes"] > 0 == row["runtime bytes"]


def test_the_best_peer_executes_the_fewest_instructions() -> None:
    assert peer_counts.best_peer("resnet8", "arm-a72") == ("MNN", 3_071_000)
    assert peer_counts.best_peer("gpt2_decode", "arm-a72") == ("onnxruntime", 67_300_000)
    assert peer_counts.best_peer("resnet8_int8", "arm-a76") == ("ExecuTorch", 1_549_000)
    assert peer_counts.best_peer("resnet8", "arm-a76") is None


def test_shares_are_those_of_networks_that_both_run() -> None:
    rows = [
        _timed("a", "penjing", 1.0),
        _timed("a", "other", 2.0),
        _timed("a", "third", 0.5),
        _timed("b", "penjing", 3.0),
        _timed("b", "other", 24.0),
        {"network": "b", "runtime": "third", "threads": 1, "version": "1", "refused": "no"},
    ]
    assert ratios.compare(rows, "cpu ms").splitlines()[2:] == [
        "| a | 1 | 2 | 0.5 | third | 2.00 |",
        "| b | 3 | 24 | - | other | 0.12 |",
        "| *penjing's share, all* |  | 0.25 | 2.00 |  | 0.50 |",
    ]
    assert ratios.tables(rows).endswith("- third 1 on b: no")


def test_layers_are_averaged_by_class() -> None:
    rows = [
        _timed(name, runtime, time)
        for name, time in (("gemm 1", 1.0), ("gemm 2", 4.0), ("norm 1", 3.0))
        for runtime, time in (("penjing", time), ("other", 1.0))
    ]
    means = [line.split("|")[1:4:2] for line in ratios.compare(rows, "cpu ms").splitlines()[-3:]]
    assert [[cell.strip() for cell in row] for row in means] == [
        ["*penjing's share, gemm*", "2.00"],
        ["*penjing's share, norm*", "3.00"],
        ["*penjing's share, all*", "2.29"],
    ]


def test_microcontrollers_are_shown_beside_cmsis_nn(tmp_path: Path) -> None:
    row = {"network": "ds_cnn", "core": "cortex-m4", "multiply-adds": 2_000_000}
    row |= {"instructions": 1_500_000, "CMSIS-NN": 6_000_000}
    row |= {"arena bytes": 8_768, "code bytes": 5_588, "constant bytes": 31_600}
    table.save([row, {**row, "core": "cortex-m7"}], tmp_path / "micro.json")
    lines = readme.block(tmp_path).strip().splitlines()
    assert len(lines) == 3
    assert lines[2] == "| ds_cnn | 2.00 M | 1.5 M | 6 M | 0.25 | 8,768 | 5,588 | 31,600 |"


def test_accuracies_are_means_over_seeds(tmp_path: Path) -> None:
    seed = {"table": "digits", "network": "residual", "float32 %": "98.00", "int8": "+0.00"}
    other = {**seed, "float32 %": "99.00", "int8": "-0.28"}
    kept = {"held-out, Spearman": "0.99", "held-out, mean cosine": "0.98", "MB": "23.3"}
    encoder = {"table": "minilm", "MiniLM": "int8", **kept, "everyday, Spearman": "0.9"}
    rows: list[table.Row] = [{**seed, "seed": 0}, {**other, "seed": 1}, encoder]
    table.save(rows, tmp_path / "quantization.json")
    lines = readme.block(tmp_path).strip().splitlines()
    assert lines[2] == "| residual | 98.50 % | -0.14 |"
    assert lines[-1] == "| int8 | 0.99 | 0.98 | 23.3 |"


def test_tables_replace_only_what_is_between_the_marks(tmp_path: Path) -> None:
    row = {"network": "ds_cnn", "target": "arm-a72", "macs": 2_000_000, "instructions": 500_000}
    rows = [{**row, "best peer": "ncnn 1.00 M", "of peer": 0.5}]
    table.save(rows, tmp_path / "arm.json")
    text = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"
    lines = readme.replaced(text, readme.block(tmp_path)).splitlines()
    assert lines[:2] == ["before", readme.BEGIN]
    assert lines[4] == "| ds_cnn | 2.0 M | 0.50 M | ncnn 1.00 M | 0.50 |"
    assert lines[5:] == [readme.END, "after"]
    with pytest.raises(ValueError, match="expected the lines"):
        readme.replaced("no marks", "")


def _timed(network: str, runtime: str, milliseconds: float) -> table.Row:
    row = {"network": network, "runtime": runtime, "threads": 1, "version": "1", "refused": ""}
    spread = dict.fromkeys(("wall ms", "wall p20 ms", "wall p80 ms"), milliseconds)
    return {**row, "cpu ms": milliseconds, **spread}


def _options(cache: Path, runtimes: list[str], python: list[str]) -> Options:
    return Options(
        networks=["resnet8"],
        threads=[1],
        rounds=1,
        only=runtimes,
        python=python,
        cache=cache,
        json=None,
        markdown=None,
    )
