"""Architectures of `transformers` that nothing was written for, as one table; for slow tests."""

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import nn

from tests.zoo import Inputs, prepare
from tests.zoo_text import SIZES, SPECIAL, VOCABULARY, token_inputs
from tests.zoo_vision import SIZES as VISION
from tests.zoo_vision import image

_WITHOUT_LENGTH = {k: v for k, v in SIZES.items() if k != "max_position_embeddings"}
_GPT = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
_SEQUENCES = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    **SPECIAL,
}
_WAVES = {
    **SIZES,
    "conv_dim": (16, 16),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "num_feat_extract_layers": 2,
}
_STAGES = {
    "hidden_sizes": [16, 16, 16, 16],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 2],
    "mlp_ratios": [2, 2, 2, 2],
}
_DETECTION = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 5,
    "use_timm_backbone": False,
    "backbone": None,
}


def _ids() -> dict[str, torch.Tensor]:
    return {"input_ids": token_inputs(1)["input_ids"]}


def _pairs() -> dict[str, torch.Tensor]:
    inputs = token_inputs()
    return {**inputs, "decoder_input_ids": inputs["input_ids"][:, :7].flip(1)}


def _wave() -> dict[str, torch.Tensor]:
    return {"input_values": torch.randn(1, 400)}


def _spectrum() -> dict[str, torch.Tensor]:
    return {"input_features": torch.randn(1, 16, 40), "decoder_input_ids": _ids()["input_ids"]}


def _backbone() -> hf.PretrainedConfig:
    return hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[16] * 4, depths=[1] * 4, out_features=["stage4"]
    )


# Name: name of the model's class, keyword arguments of its configuration, inputs.
_TABLE: dict[str, tuple[str, dict[str, Any], Callable[[], dict[str, torch.Tensor]]]] = {
    "t5": ("T5Model", {**_GPT, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2}, _pairs),
    "bart": ("BartModel", {**_SEQUENCES, "max_position_embeddings": 40}, _pairs),
    "whisper": (
        "WhisperModel",
        {**_SEQUENCES, "num_mel_bins": 16, "max_source_positions": 20, "decoder_start_token_id": 1},
        _spectrum,
    ),
    "bloom": ("BloomModel", {**_WITHOUT_LENGTH, "n_layer": 2, "n_head": 4}, token_inputs),
    "falcon": ("FalconModel", {**_WITHOUT_LENGTH, **SPECIAL}, token_inputs),
    "gpt_neox": ("GPTNeoXModel", {**SIZES, **SPECIAL}, token_inputs),
    "gptj": ("GPTJModel", {**_GPT, **SPECIAL, "rotary_dim": 4}, token_inputs),
    "qwen3": ("Qwen3Model", {**SIZES, "num_key_value_heads": 2, "head_dim": 8}, token_inputs),
    "mamba2": (
        "Mamba2Model",
        {**_WITHOUT_LENGTH, **SPECIAL, "num_heads": 8, "head_dim": 8, "state_size": 8}
        | {"n_groups": 1, "chunk_size": 4},
        _ids,
    ),
    "rwkv": ("RwkvModel", {**_WITHOUT_LENGTH, **SPECIAL, "attention_hidden_size": 32}, _ids),
    "xlnet": (
        "XLNetModel",
        {"vocab_size": VOCABULARY, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
        token_inputs,
    ),
    "deberta": (
        "DebertaModel",
        {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        token_inputs,
    ),
    "fnet": ("FNetModel", SIZES, _ids),
    "canine": ("CanineModel", {**SIZES, "num_hash_buckets": 16}, token_inputs),
    "funnel": (
        "FunnelModel",
        {"vocab_size": VOCABULARY, "d_model": 32, "block_sizes": [1, 1], "n_head": 4}
        | {"d_head": 8, "d_inner": 48, "num_decoder_layers": 1},
        token_inputs,
    ),
    "hubert": ("HubertModel", _WAVES, _wave),
    "wavlm": ("WavLMModel", _WAVES, _wave),
    "beit": ("BeitModel", {**VISION, "use_relative_position_bias": True}, image),
    "swinv2": (
        "Swinv2Model",
        {"image_size": 32, "patch_size": 2, "embed_dim": 16, "window_size": 4}
        | {"depths": (2, 2), "num_heads": (2, 4)},
        image,
    ),
    "pvt": ("PvtV2Model", {**_STAGES, "image_size": 64}, lambda: image(64)),
    "mobilenet_v1": ("MobileNetV1Model", {"depth_multiplier": 0.25}, lambda: image(64)),
    "detr": (
        "DetrForObjectDetection",
        {**_DETECTION, "backbone_config": _backbone()},
        lambda: image(64),
    ),
    "yolos": (
        "YolosForObjectDetection",
        {**VISION, "image_size": [32, 32], "num_detection_tokens": 5},
        image,
    ),
}


def _make(name: str) -> tuple[nn.Module, Inputs]:
    model_name, sizes, inputs = _TABLE[name]
    model = getattr(hf, model_name)
    return model(model.config_class(**sizes)), inputs()


def make_more(name: str) -> tuple[nn.Module, Inputs]:
    """The model of that name in evaluation mode, and its inputs; the same at every call."""
    return prepare(lambda: _make(name), sorted(MORE).index(name))


MORE: tuple[str, ...] = tuple(_TABLE)
