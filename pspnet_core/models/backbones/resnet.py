"""ResNet with every variation that published segmentation networks have.

Sources: He et al., "Deep Residual Learning" (2015); the deep stem of Zhao et al.'s code; "vd" shortcuts of He et al.,
"Bag of Tricks" (2018); dilation after Yu et al., "Dilated Residual Networks" (2017).
Legend: N batch, C channels, H, W input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.models.backbones.base import Backbone, Features, feature_strides, strides_and_dilations
from pspnet_core.models.config import PSPNetConfig, StrideAt
from pspnet_core.models.layers import make_norm

BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
_BASIC = ("resnet18", "resnet34")


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """One residual block.

    Attributes:
        in_channels: C of its input.
        channels: Of its inner convolutions.
        stride: 1 or 2.
        dilation: Of its 3x3 convolution; in a basic block of the first one.
        second_dilation: Of a basic block's second 3x3 convolution.
        stride_at: Convolution of a bottleneck that has the stride.
        averages: Whether a shortcut with stride averages first.
    """

    in_channels: int
    channels: int
    stride: int
    dilation: int
    second_dilation: int
    stride_at: StrideAt
    averages: bool


class _Block(nn.Module):
    """Shortcut of both kinds of blocks."""

    expansion: int

    def __init__(self, spec: BlockSpec, norm: partial[nn.Module]) -> None:
        super().__init__()
        out_channels = spec.channels * self.expansion
        self.pool_stride = spec.stride if spec.averages else 1
        self.downsample: nn.Sequential | None = None
        if spec.stride > 1 or spec.in_channels != out_channels:
            stride = spec.stride // self.pool_stride
            convolution = nn.Conv2d(spec.in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, norm(channels=out_channels))

    def shortcut(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""
        if self.downsample is None:
            return x
        if self.pool_stride > 1:
            x = F.avg_pool2d(x, self.pool_stride, ceil_mode=True, count_include_pad=False)
        out: Tensor = self.downsample(x)
        return out


class BasicBlock(_Block):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, spec: BlockSpec, norm: partial[nn.Module]) -> None:
        super().__init__(spec, norm)
        c, d, e = spec.channels, spec.dilation, spec.second_dilation
        self.conv1 = nn.Conv2d(spec.in_channels, c, 3, spec.stride, padding=d, dilation=d, bias=False)
        self.bn1 = norm(channels=c)
        self.conv2 = nn.Conv2d(c, c, 3, padding=e, dilation=e, bias=False)
        self.bn2 = norm(channels=c)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x), inplace=True)


class Bottleneck(_Block):
    """1x1, 3x3, 1x1."""

    expansion = 4

    def __init__(self, spec: BlockSpec, norm: partial[nn.Module]) -> None:
        super().__init__(spec, norm)
        c, d = spec.channels, spec.dilation
        first, second = (spec.stride, 1) if spec.stride_at == "1x1" else (1, spec.stride)
        self.conv1 = nn.Conv2d(spec.in_channels, c, 1, first, bias=False)
        self.bn1 = norm(channels=c)
        self.conv2 = nn.Conv2d(c, c, 3, second, padding=d, dilation=d, bias=False)
        self.bn2 = norm(channels=c)
        self.conv3 = nn.Conv2d(c, c * self.expansion, 1, bias=False)
        self.bn3 = norm(channels=c * self.expansion)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x), inplace=True)


class ResNet(Backbone):
    """Features of a ResNet; any input size.

    Args:
        config: Its ``backbone``, ``output_stride``, ``stem``, ``shortcut``, ``dilation``,
            ``basic_dilation``, ``stride_at``, ``maxpool_ceil``, ``backbone_norm`` and ``bn_momentum``.

    Attributes:
        shortcut: As in ``config``; no tensor tells it.
        stride_at: The same.
    """

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__()
        self.shortcut, self.stride_at = config.shortcut, config.stride_at
        norm = partial(make_norm, config.backbone_norm, momentum=config.bn_momentum)
        block = BasicBlock if config.backbone in _BASIC else Bottleneck
        self.stem, channels = _make_stem(config, norm)
        self._maxpool_ceil = config.maxpool_ceil
        strides, dilations = strides_and_dilations(config.output_stride)
        out_channels: list[int] = []
        for number, num_blocks in enumerate(BLOCKS[config.backbone]):
            before = dilations[number - 1] if number else 1
            first = before if config.dilation == "contract" else dilations[number]
            blocks: list[nn.Module] = []
            for index in range(num_blocks):
                spec = BlockSpec(
                    in_channels=channels,
                    channels=64 << number,
                    stride=strides[number] if index == 0 else 1,
                    dilation=first if index == 0 else dilations[number],
                    second_dilation=dilations[number] if config.basic_dilation == "both" else 1,
                    stride_at=config.stride_at,
                    averages=config.shortcut == "avg",
                )
                blocks.append(block(spec, norm))
                channels = spec.channels * block.expansion
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
            out_channels.append(channels)
        self.channels = out_channels[0], out_channels[1], out_channels[2], out_channels[3]
        self.strides = feature_strides(config.output_stride)
        self._initialise()

    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """The stem and the four layers."""
        return (self.stem,), *((self.get_submodule(f"layer{number}"),) for number in range(1, 5))

    def forward(self, x: Tensor) -> Features:
        """Features of (N, 3, H, W) normalised RGB; sizes are ceil(H / stride)."""
        x = F.max_pool2d(self.stem(x), 3, 2, 1, ceil_mode=self._maxpool_ceil)  # (N, C, H/4, W/4)
        features = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            features.append(x)
        return Features(*features)

    @torch.no_grad()
    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _make_stem(config: PSPNetConfig, norm: partial[nn.Module]) -> tuple[nn.Sequential, int]:
    """First layers, of stride 2, and their channels."""
    if config.stem == "conv7":
        layers = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), norm(channels=64), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers), 64
    half = 64 if config.stem == "deep64" else 32
    layers = []
    for inputs, outputs, stride in ((3, half, 2), (half, half, 1), (half, 2 * half, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), norm(channels=outputs)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers), 2 * half
