"""The models that everything is tried on: small, seeded, with random but lively weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from tests import zoo_own, zoo_text, zoo_vision

Inputs = tuple[Any, ...] | dict[str, Any]
Maker = Callable[[], tuple[nn.Module, Inputs]]


# Gates and many layers shrink their signal to nothing unless the norms make up for it. Norms that
# fit one input make other networks chaotic: PyTorch's own float32 result is then far from float64.
_VANISHING = ("efficientnet",)


def enliven(model: nn.Module, seed: int) -> None:
    """Give a model weights under which its signal neither vanishes nor explodes.

    Trained scales (layer scale, norms, running statistics) start at values at which whole branches
    are switched off, so that a comparison of outputs would prove nothing about them.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if name.endswith(("A_log", ".D", "dt_proj.bias")):  # state spaces need their own
                continue
            if parameter.dim() > 1:
                parameter.copy_(noise * (1.6 / parameter[0].numel()) ** 0.5)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(1 + 0.1 * noise)
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)


def fit_batch_norms(model: nn.Module, inputs: Inputs) -> None:
    """Give every batch norm running statistics near those of its input, as training does."""

    def fit(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, _BatchNorm)
        assert module.running_mean is not None
        assert module.running_var is not None
        channels = args[0].transpose(0, 1).flatten(1)
        if channels.shape[1] == 1:
            return  # one value has no variance
        module.running_mean.copy_(channels.mean(1) + 0.1)
        module.running_var.copy_(channels.var(1) + channels.var(1).mean() + 0.3)

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    hooks = [module.register_forward_pre_hook(fit) for module in norms]
    call(model.eval(), inputs)
    for hook in hooks:
        hook.remove()


def make(name: str) -> tuple[nn.Module, Inputs]:
    """The model of that name in evaluation mode, and its inputs; the same at every call."""
    return prepare(_MAKERS[name], sorted(ZOO).index(name), fit_norms=name in _VANISHING)


def prepare(maker: Maker, seed: int, *, fit_norms: bool = True) -> tuple[nn.Module, Inputs]:
    """A model with lively weights in evaluation mode, and its inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, inputs = maker()
    enliven(model, seed)
    if fit_norms:
        fit_batch_norms(model, inputs)
    return model.eval(), inputs


def call(model: nn.Module, inputs: Inputs) -> Any:
    """The model's result for the inputs, without gradients."""
    with torch.no_grad():
        return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def tensors_of(tree: object) -> list[torch.Tensor]:
    """The tensors of any nested structure, in order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def assert_sensitive(model: nn.Module, inputs: Inputs) -> None:
    """The outputs are finite, neither constant nor vanishing, and depend on every input."""
    reference = tensors_of(call(model, inputs))
    for index, output in enumerate(reference):
        assert output.isfinite().all(), f"output {index} is not finite"
        assert output.abs().max() > 1e-2, f"output {index} vanishes: {output.abs().max()}"
        if output.numel() > 1:
            assert output.std() > 1e-2 * output.abs().max(), f"output {index} is constant"
    entries = inputs.items() if isinstance(inputs, dict) else enumerate(inputs)
    for key, value in entries:
        changed = call(model, _replaced(inputs, key, _other(value)))
        pairs = zip(tensors_of(changed), reference, strict=True)
        distance = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        assert distance > 1e-2, f"nothing depends on input {key}: {distance}"


def _replaced(inputs: Inputs, key: Any, value: torch.Tensor) -> Inputs:
    if isinstance(inputs, dict):
        return {**inputs, key: value}
    return (*inputs[:key], value, *inputs[key + 1 :])


def _other(value: torch.Tensor) -> torch.Tensor:
    """Values of the same kind that differ: floats are drawn anew, ids and masks are shifted."""
    if value.is_floating_point():
        return torch.randn(value.shape, generator=torch.Generator().manual_seed(1)).to(value.dtype)
    return value.roll(2, -1)


def _image(size: int, batch: int = 1) -> tuple[torch.Tensor]:
    return (torch.randn(batch, 3, size, size),)


def _recurrent(layer: nn.LSTM | nn.GRU | nn.RNN, features: int) -> tuple[nn.Module, Inputs]:
    return zoo_own.Recurrent(layer, features), (torch.randn(2, 7, 6),)


_PADDING = torch.arange(9).expand(2, 9) >= torch.tensor([[9], [6]])

_REQUIRED: dict[str, Maker] = {
    "own_mobilenet_v2": lambda: (zoo_own.MobileNetV2(), _image(32)),
    "own_resnet18": lambda: (zoo_own.ResNet18(), _image(64)),
    "own_dense_cnn": lambda: (zoo_own.DenseCnn(), _image(17, 2)),
    "own_se_cnn": lambda: (zoo_own.SeCnn(), _image(32)),
    "own_ds_cnn": lambda: (zoo_own.KeywordSpotter(), (torch.randn(1, 1, 49, 10),)),
    "own_lstm": lambda: _recurrent(nn.LSTM(6, 8, 2, batch_first=True), 8),
    "own_gru": lambda: _recurrent(nn.GRU(6, 8, 2, batch_first=True), 8),
    "own_transformer": lambda: (zoo_own.Encoder(), (torch.randn(2, 9, 16), _PADDING)),
    "bert": zoo_text.bert,
    "distilbert": zoo_text.distilbert,
    "roberta": zoo_text.roberta,
    "albert": zoo_text.albert,
    "mobilebert": zoo_text.mobilebert,
    "gpt2": zoo_text.gpt2,
    "opt": zoo_text.opt,
    "llama": zoo_text.llama,
    "qwen2": zoo_text.qwen2,
    "mistral": zoo_text.mistral,
    "t5_encoder": zoo_text.t5_encoder,
    "whisper_encoder": zoo_text.whisper_encoder,
    "vit": zoo_vision.vit,
    "swin": zoo_vision.swin,
    "mobilenet_v2": zoo_vision.mobilenet_v2,
    "resnet": zoo_vision.resnet,
    "convnext": zoo_vision.convnext,
    "efficientnet": zoo_vision.efficientnet,
    "mobilevit": zoo_vision.mobilevit,
    "segformer": zoo_vision.segformer,
    "wav2vec2": zoo_text.wav2vec2,
    "clip_text": zoo_text.clip_text,
    "clip_vision": zoo_vision.clip_vision,
}

# Nothing was written for these: they show whether the rules are general.
_HELD_OUT: dict[str, Maker] = {
    "own_mlp": lambda: (zoo_own.Mlp(), (torch.randn(3, 12),)),
    "own_unet": lambda: (zoo_own.UNet(), (torch.randn(1, 1, 16, 16),)),
    "own_tcn": lambda: (zoo_own.TemporalConvolution(), (torch.randn(2, 4, 19),)),
    "own_rnn": lambda: _recurrent(nn.RNN(6, 8, batch_first=True), 8),
    "own_bidirectional_lstm": lambda: _recurrent(
        nn.LSTM(6, 8, batch_first=True, bidirectional=True), 16
    ),
    "electra": zoo_text.electra,
    "squeezebert": zoo_text.squeezebert,
    "modernbert": zoo_text.modernbert,
    "gemma2": zoo_text.gemma2,
    "phi3": zoo_text.phi3,
    "mixtral": zoo_text.mixtral,
    "mamba": zoo_text.mamba,
    "deit": zoo_vision.deit,
    "dinov2": zoo_vision.dinov2,
    "regnet": zoo_vision.regnet,
    "poolformer": zoo_vision.poolformer,
}

_MAKERS = {**_REQUIRED, **_HELD_OUT}


def _maker(name: str) -> Maker:
    return lambda: make(name)


REQUIRED: tuple[str, ...] = tuple(_REQUIRED)
ZOO: dict[str, Maker] = {name: _maker(name) for name in _MAKERS}
