"""Vision models of `transformers`, small and with random weights."""

import torch
import transformers as hf
from torch import nn

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}

Inputs = dict[str, torch.Tensor]


def image(size: int = 32) -> Inputs:
    return {"pixel_values": torch.randn(1, 3, size, size)}


def vit() -> tuple[nn.Module, Inputs]:
    return hf.ViTForImageClassification(hf.ViTConfig(**SIZES)), image()


def deit() -> tuple[nn.Module, Inputs]:
    return hf.DeiTModel(hf.DeiTConfig(**SIZES)), image()


def dinov2() -> tuple[nn.Module, Inputs]:
    return hf.Dinov2Model(hf.Dinov2Config(**SIZES, mlp_ratio=2)), image(
        40
    )  # interpolates positions


def clip_vision() -> tuple[nn.Module, Inputs]:
    return hf.CLIPVisionModel(hf.CLIPVisionConfig(**SIZES)), image()


def swin() -> tuple[nn.Module, Inputs]:
    config = hf.SwinConfig(
        image_size=32, patch_size=2, embed_dim=16, depths=(2, 2), num_heads=(2, 4), window_size=4
    )
    return hf.SwinModel(config), image()


def mobilenet_v2() -> tuple[nn.Module, Inputs]:
    config = hf.MobileNetV2Config(image_size=64, depth_multiplier=0.25, num_labels=5)
    return hf.MobileNetV2ForImageClassification(config), image(64)


def resnet() -> tuple[nn.Module, Inputs]:
    config = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=(16, 24, 32), depths=(1, 2, 1), layer_type="bottleneck"
    )
    return hf.ResNetModel(config), image(64)


def regnet() -> tuple[nn.Module, Inputs]:
    config = hf.RegNetConfig(
        embedding_size=8, hidden_sizes=(16, 24), depths=(1, 2), groups_width=8, layer_type="y"
    )
    return hf.RegNetModel(config), image(32)


def convnext() -> tuple[nn.Module, Inputs]:
    config = hf.ConvNextConfig(hidden_sizes=(8, 16, 24), depths=(1, 1, 2), num_stages=3)
    return hf.ConvNextModel(config), image(64)


def efficientnet() -> tuple[nn.Module, Inputs]:
    config = hf.EfficientNetConfig(
        image_size=64,
        width_coefficient=0.25,
        depth_coefficient=0.4,
        hidden_dim=320,
        num_labels=5,
    )
    return hf.EfficientNetForImageClassification(config), image(64)


def mobilevit() -> tuple[nn.Module, Inputs]:
    config = hf.MobileViTConfig(
        image_size=64,
        hidden_sizes=(16, 24, 32),
        neck_hidden_sizes=(8, 8, 12, 16, 20, 24, 48),
        num_attention_heads=2,
    )
    return hf.MobileViTModel(config), image(64)


def segformer() -> tuple[nn.Module, Inputs]:
    config = hf.SegformerConfig(
        depths=(1, 1, 1, 1),
        hidden_sizes=(8, 16, 24, 32),
        num_attention_heads=(1, 2, 3, 4),
        decoder_hidden_size=16,
        num_labels=3,
    )
    return hf.SegformerForSemanticSegmentation(config), image(64)


def poolformer() -> tuple[nn.Module, Inputs]:
    config = hf.PoolFormerConfig(depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 24, 32))
    return hf.PoolFormerModel(config), image(64)
