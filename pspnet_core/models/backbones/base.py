"""What all backbones have in common.

Legend: N batch, C channels, H, W input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from torch import Tensor, nn

from pspnet_core.models.layers import Freezable, require_gradients

NUM_STAGES = 4


class Features(NamedTuple):
    """Features of the four stages; strides 4, 8, 16, 32, none larger than the output stride."""

    stage1: Tensor  # (N, C1, H/4, W/4)
    stage2: Tensor
    stage3: Tensor
    stage4: Tensor


class Backbone(Freezable):
    """A feature extractor with a stem and four stages.

    Attributes:
        input_multiple: Height and width of the input must be multiples of this; 1 = any size.
        channels: Of the four stages' features.
        strides: Of the four stages' features.
    """

    input_multiple: int = 1
    channels: tuple[int, int, int, int]
    strides: tuple[int, int, int, int]

    def __init__(self) -> None:
        super().__init__()
        self._num_frozen = 0

    def forward(self, x: Tensor) -> Features:
        """Features of (N, 3, H, W) normalised RGB."""
        raise NotImplementedError

    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """Modules of the stem, and of each of the four stages."""
        raise NotImplementedError

    def freeze(self, num_stages: int) -> None:
        """Give the stem and the first ``num_stages`` stages (0 = nothing, also not the stem) no gradient.

        Their batch norms keep their statistics through any later ``train()``.

        Raises:
            ValueError: More stages than there are.
        """
        if not 0 <= num_stages <= NUM_STAGES:
            raise ValueError(f"{num_stages} stages cannot be frozen, there are {NUM_STAGES}")
        self._num_frozen = num_stages
        for number, part in enumerate(self.parts()):
            for module in part:
                require_gradients(module, num_stages == 0 or number > num_stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As torch's; frozen stages stay in evaluation mode."""
        super().train(mode)
        if self._num_frozen:
            for part in self.parts()[: self._num_frozen + 1]:
                for module in part:
                    module.eval()
        return self


def strides_and_dilations(output_stride: int) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Strides and dilations of the four stages (after a stem of stride 4) that give ``output_stride`` 8, 16 or 32."""
    strides, dilations = [1, 2, 2, 2], [1, 1, 1, 1]
    if output_stride <= 16:
        strides[3], dilations[3] = 1, 2
    if output_stride == 8:
        strides[2], dilations[2] = 1, 2
        dilations[3] = 4
    return (strides[0], strides[1], strides[2], strides[3]), (dilations[0], dilations[1], dilations[2], dilations[3])


def feature_strides(output_stride: int) -> tuple[int, int, int, int]:
    """Strides of the four stages' features."""
    a, b, c, d = (min(stride, output_stride) for stride in (4, 8, 16, 32))
    return a, b, c, d
