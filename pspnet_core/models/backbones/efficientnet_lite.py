"""EfficientNet-Lite as a feature extractor, with its BatchNorm frozen and fused into the convolutions.

Fine-tuning on few images with small batches must not touch batch statistics, so the statistics are constants here:
each convolution carries them in its weight and bias, which also saves their time in every step.

Source: Tan and Le, "EfficientNet" (2019), and the Lite variants of tensorflow/tpu (no squeeze-excite, ReLU6).
Legend: N batch, C channels, H, W input size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.errors import CheckpointError
from pspnet_core.models.backbones.base import Backbone, Features, feature_strides
from pspnet_core.models.backbones.depthwise import STRIDE2_PADDING, DepthwiseConv2d

_BN_EPS = 1e-3


class StageSpec(NamedTuple):
    """One stage: ``num_blocks`` inverted residuals, the first of them with ``stride``."""

    expansion: int
    kernel_size: int
    stride: int
    channels: int
    num_blocks: int


# EfficientNet-B0's stages; the larger members scale them.
_STAGES = (
    StageSpec(1, 3, 1, 16, 1),
    StageSpec(6, 3, 2, 24, 2),
    StageSpec(6, 5, 2, 40, 2),
    StageSpec(6, 3, 2, 80, 3),
    StageSpec(6, 5, 1, 112, 3),
    StageSpec(6, 5, 2, 192, 4),
    StageSpec(6, 3, 1, 320, 1),
)
_STEM_CHANNELS = 32  # of all members
# Which of the seven stages make up each stage of a backbone.
_PARTS = ((0, 1), (2,), (3, 4), (5, 6))

# Factors of channels and of blocks. Source: tensorflow/tpu, efficientnet/lite/efficientnet_lite_builder.py.
SCALES: dict[str, tuple[float, float]] = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


def scaled_stages(name: str) -> tuple[StageSpec, ...]:
    """The seven stages of one member; its first and last stage have as many blocks as Lite0's."""
    width, depth = SCALES[name]
    last = len(_STAGES) - 1
    return tuple(
        stage._replace(
            channels=_round_channels(stage.channels * width),
            num_blocks=stage.num_blocks if index in (0, last) else math.ceil(stage.num_blocks * depth),
        )
        for index, stage in enumerate(_STAGES)
    )


def _round_channels(value: float) -> int:
    """To a multiple of 8, by no more than a tenth down."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1; plus the input where shapes agree. BatchNorm fused."""

    def __init__(self, in_channels: int, spec: StageSpec, stride: int) -> None:
        super().__init__()
        hidden = in_channels * spec.expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1) if spec.expansion > 1 else None
        self.depthwise = DepthwiseConv2d(hidden, spec.kernel_size, stride)
        self.project = nn.Conv2d(hidden, spec.channels, 1)
        self.has_shortcut = stride == 1 and in_channels == spec.channels

    def forward(self, x: Tensor, dilation: int = 1) -> Tensor:
        """(N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y, dilation), inplace=True))
        out: Tensor = x + y if self.has_shortcut else y
        return out


class EfficientNetLite(Backbone):
    """Features of an EfficientNet-Lite at output stride 16 or 32.

    At output stride 16 the last stride becomes 1 and later blocks are dilated by 2. A dilated convolution is computed
    as an ordinary one on the four phases of the feature map, moved to the batch axis (the 1x1 convolutions between do
    not mind); on CPUs this is many times faster.

    Height and width of the input must be multiples of 32: constant padding is then equal to TensorFlow's.

    Args:
        name: Key of :data:`SCALES`.
        output_stride: 16 or 32.

    Raises:
        ValueError: Unknown name or output stride.
    """

    input_multiple = 32

    def __init__(self, name: str = "efficientnet_lite0", output_stride: int = 16) -> None:
        super().__init__()
        if name not in SCALES:
            raise ValueError(f"unknown backbone {name!r}; known are {sorted(SCALES)}")
        if output_stride not in (16, 32):
            raise ValueError(f"output stride must be 16 or 32, found {output_stride}")
        self.name, self.output_stride = name, output_stride
        self.stem = nn.Conv2d(3, _STEM_CHANNELS, 3, 2)
        self.stages = nn.ModuleList()
        specs = scaled_stages(name)
        channels, stride = _STEM_CHANNELS, 2
        for spec in specs:
            first_stride = spec.stride if stride * spec.stride <= output_stride else 1
            stride *= first_stride
            blocks = []
            for index in range(spec.num_blocks):
                blocks.append(InvertedResidual(channels, spec, first_stride if index == 0 else 1))
                channels = spec.channels
            self.stages.append(nn.Sequential(*blocks))
        self.channels = specs[1].channels, specs[2].channels, specs[4].channels, specs[6].channels
        self.strides = feature_strides(output_stride)

    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """The stem, and the modules of each of the four stages."""
        return (self.stem,), *([self.stages[index] for index in part] for part in _PARTS)

    def forward(self, x: Tensor) -> Features:
        """Features of (N, 3, H, W) normalised RGB; H and W multiples of 32."""
        height, width = x.shape[-2:]
        assert (height % self.input_multiple, width % self.input_multiple) == (0, 0), x.shape
        x = F.relu6(self.stem(F.pad(x, STRIDE2_PADDING[3])), inplace=True)  # (N, stem, H/2, W/2)
        first = self.stages[1](self.stages[0](x))
        second = self.stages[2](first)
        third = self.stages[4](self.stages[3](second))
        return Features(first, second, third, self._last_stages(third))

    def _last_stages(self, x: Tensor) -> Tensor:
        first, *others = (block for stage in self.stages[5:] for block in cast(nn.Sequential, stage))
        x = first(x)
        if self.output_stride == 32:
            for block in others:
                x = block(x)
            return x
        if torch.compiler.is_compiling():
            # Other programs are faster without the detour, and torch.export follows a dilation at every size.
            for block in others:
                x = block(x, dilation=2)
            return x
        x = space_to_batch(x)  # (4N, C, H/32, W/32)
        for block in others:
            x = block(x)
        return batch_to_space(x)


def space_to_batch(x: Tensor) -> Tensor:
    """The four phases of (N, C, h, w) as (4N, C, h/2, w/2); h and w even."""
    n, c, h, w = x.shape
    phases = x.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c)
    return phases.permute(2, 4, 0, 1, 3, 5).reshape(4 * n, h // 2, w // 2, c).permute(0, 3, 1, 2)


def batch_to_space(x: Tensor) -> Tensor:
    """Inverse of :func:`space_to_batch`."""
    n, c, h, w = x.shape
    phases = x.permute(0, 2, 3, 1).reshape(2, 2, n // 4, h, w, c)
    return phases.permute(2, 3, 0, 4, 1, 5).reshape(n // 4, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


def load_published(backbone: EfficientNetLite, published: Mapping[str, Tensor]) -> None:
    """Fill ``backbone`` with published weights, BatchNorm fused. Every published key must be used or known.

    Args:
        backbone: To be filled.
        published: The state dict in the publisher's layout.

    Raises:
        CheckpointError: A tensor is missing, has no place, or has another shape.
    """
    state: dict[str, Tensor] = {}
    used = {"_fc.weight", "_fc.bias"}  # the ImageNet classifier is not wanted

    def take(target: str, convolution: str, norm: str) -> None:
        weight, bias, keys = fuse(published, convolution, norm)
        state[f"{target}.weight"], state[f"{target}.bias"] = weight, bias
        used.update(keys)

    try:
        take("stem", "_conv_stem", "_bn0")
        number = 0
        for stage_index, stage in enumerate(backbone.stages):
            for index, block in enumerate(cast(nn.Sequential, stage)):
                source, target = f"_blocks.{number}.", f"stages.{stage_index}.{index}."
                if block.expand is not None:
                    take(target + "expand", source + "_expand_conv", source + "_bn0")
                take(target + "depthwise", source + "_depthwise_conv", source + "_bn1")
                take(target + "project", source + "_project_conv", source + "_bn2")
                number += 1
        used.update(fuse(published, "_conv_head", "_bn1")[2])
        backbone.load_state_dict(state, strict=True)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"The weights are not those of {backbone.name}.", str(error)) from error
    if unknown := set(published) - used:
        raise CheckpointError(
            f"The weights are not those of {backbone.name}.", f"Unknown entries: {sorted(unknown)[:5]}."
        )


def fuse(state: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor, set[str]]:
    """Weight and bias of a convolution with its frozen BatchNorm fused in, and the keys that were read."""
    weight = state[f"{convolution}.weight"].double()
    keys = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    gamma, beta, mean, variance = (state[key].double() for key in keys)
    scale = gamma * torch.rsqrt(variance + _BN_EPS)
    used = {f"{convolution}.weight", *keys, f"{norm}.num_batches_tracked"}
    return (weight * scale[:, None, None, None]).float(), (beta - mean * scale).float(), used
