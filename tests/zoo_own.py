"""Small networks written out here: the usual vision, audio and sequence blocks."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Convolution, batch norm, relu6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """The MobileNetV2 block."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = conv_bn(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv_bn(hidden, hidden, 3, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.project(self.depthwise(self.expand(x))))
        return x + y if self.has_skip else y


class MobileNetV2(nn.Module):
    """MobileNetV2 with few blocks."""

    def __init__(self) -> None:
        super().__init__()
        rows = [(8, 12, 1, 1), (12, 16, 2, 4), (16, 16, 1, 4), (16, 24, 2, 4), (24, 24, 1, 4)]
        self.stem = conv_bn(3, 8, 3, 2)
        self.blocks = nn.Sequential(*(InvertedResidual(*row) for row in rows))
        self.head = conv_bn(24, 40, 1)
        self.drop = nn.Dropout(0.2)
        self.classifier = nn.Linear(40, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.blocks(self.stem(x)))
        x = F.adaptive_avg_pool2d(x, (1, 1)).flatten(1)
        y: torch.Tensor = self.classifier(self.drop(x))
        return y


class BasicBlock(nn.Module):
    """The ResNet-18 block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        return torch.relu_(y)


class ResNet18(nn.Module):
    """ResNet-18 with an eighth of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        widths = [8, 8, 16, 32, 64]
        blocks: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            blocks.append(BasicBlock(inputs, outputs, 1 if index == 0 else 2))
            blocks.append(BasicBlock(outputs, outputs, 1))
        self.layers = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(self.pool(F.relu(self.bn1(self.conv1(x)))))
        y: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return y


class DenseCnn(nn.Module):
    """Concatenation of all earlier features; grouped and depthwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.depthwise = nn.Conv2d(16, 16, 5, padding=2, groups=16)
        self.multiplier = nn.Conv2d(32, 64, 3, stride=2, groups=32)
        self.norm = nn.BatchNorm2d(64)
        self.mix = nn.Conv2d(64, 12, 1)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = torch.cat([x, F.relu(self.grouped(x))], 1)
        x = torch.cat([x, F.leaky_relu(self.depthwise(x), 0.1)], 1)
        x = self.mix(F.relu(self.norm(self.multiplier(x))))
        x = F.avg_pool2d(x, 2)
        y: torch.Tensor = self.fc(x.mean(dim=(-2, -1)))
        return y


class SqueezeExcite(nn.Module):
    """Channel gates from the global average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = x.mean((2, 3), keepdim=True)
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(gate))))


class SeCnn(nn.Module):
    """Hard-swish network with squeeze-excite gates, transposed convolution and upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish(inplace=True)
        )
        self.gate = SqueezeExcite(16)
        self.body = nn.Sequential(
            nn.Conv2d(16, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.Hardswish(inplace=True)
        )
        self.up = nn.ConvTranspose2d(24, 16, 4, 2, 1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.gate(self.stem(x))
        x = x + F.hardswish(self.norm(self.up(self.body(x))))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = F.interpolate(self.head(x), scale_factor=2, mode="nearest")
        return torch.sigmoid(x)


class KeywordSpotter(nn.Module):
    """DS-CNN for keyword spotting on a 49 x 10 spectrogram."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, 16, (10, 4), (2, 2), (5, 1), bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        ]
        for _ in range(2):
            layers += [nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16)]
            layers += [nn.ReLU(), nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AvgPool2d((25, 5))
        self.classifier = nn.Linear(16, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return F.log_softmax(y, dim=-1)


class Recurrent(nn.Module):
    """A recurrent layer of some kind and a linear one on its last step."""

    def __init__(self, layer: nn.LSTM | nn.GRU | nn.RNN, features: int) -> None:
        super().__init__()
        self.layer = layer
        self.fc = nn.Linear(features, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, state = self.layer(x)
        last = state[0] if isinstance(state, tuple) else state
        return self.fc(y[:, -1]), last


class UNet(nn.Module):
    """Two levels down, two up, with concatenated skips."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self._block(1, 8), self._block(8, 16)
        self.middle = self._block(16, 32)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 2, 2), nn.Upsample(scale_factor=2)
        self.merge2, self.merge1 = self._block(32, 16), self._block(24, 8)
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _block(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(outputs, affine=True),
            nn.PReLU(),
            nn.Conv2d(outputs, outputs, 3, padding="same"),
            nn.GroupNorm(4, outputs),
            nn.SiLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        x = self.middle(F.max_pool2d(second, 2))
        x = self.merge2(torch.cat([self.up2(x), second], 1))
        x = self.merge1(torch.cat([self.up1(x), first], 1))
        y: torch.Tensor = self.head(x)
        return y


class TemporalConvolution(nn.Module):
    """One-dimensional dilated convolutions with gates, as in WaveNet and TCNs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 8, 1)
        self.dilated = nn.ModuleList(nn.Conv1d(8, 16, 3, dilation=2**i) for i in range(3))
        self.mix = nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(3))
        self.head = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 4, 5, padding=2, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for index, (dilated, mix) in enumerate(zip(self.dilated, self.mix, strict=True)):
            padded = F.pad(x, (2 * 2**index, 0))
            signal, gate = dilated(padded).chunk(2, dim=1)
            x = x + mix(torch.tanh(signal) * torch.sigmoid(gate))
        return F.glu(self.head(F.elu(x)), dim=1)


class Mlp(nn.Module):
    """Fully connected layers with a softmax head."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(12, 32),
            nn.GELU(),
            nn.Dropout(),
            nn.Linear(32, 16),
            nn.Mish(),
            nn.Linear(16, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layers(x), -1)


class Encoder(nn.Module):
    """`nn.TransformerEncoder` with a padding mask and mean pooling over the real positions."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor, is_padding: torch.Tensor) -> torch.Tensor:
        y = self.encoder(x, src_key_padding_mask=is_padding)
        keep = (~is_padding).unsqueeze(-1).to(x.dtype)
        z: torch.Tensor = self.fc((y * keep).sum(1) / keep.sum(1))
        return z
