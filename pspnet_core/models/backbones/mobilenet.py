"""MobileNetV2 and MobileNetV3-Large: torchvision's own layers, cut into four stages and dilated.

Sources: Sandler et al., "MobileNetV2" (2018); Howard et al., "Searching for MobileNetV3" (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

from torch import Tensor, nn

from pspnet_core.models.backbones.base import Backbone, Features, feature_strides, strides_and_dilations
from pspnet_core.models.config import Dilation, PSPNetConfig
from pspnet_core.models.layers import BatchNorm2d, FrozenBatchNorm2d

# First layer of each stage in torchvision's `features`, and the end. V2 ends before its last convolution, which serves
# the classification of whole images; V3 keeps it, as torchvision's own segmentation networks do.
_STAGES = {"mobilenet_v2": (1, 4, 7, 14, 18), "mobilenet_v3_large": (1, 4, 7, 13, 17)}
_CHANNELS = {"mobilenet_v2": (24, 32, 96, 320), "mobilenet_v3_large": (24, 40, 112, 960)}


class MobileNet(Backbone):
    """Features of a MobileNet; any input size.

    Args:
        config: Its ``backbone``, ``output_stride``, ``dilation``, ``backbone_norm`` and ``bn_momentum``.
    """

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__()
        self._bounds = _STAGES[config.backbone]
        self.features = _layers(config)[: self._bounds[-1]]
        self.channels = _CHANNELS[config.backbone]
        self.strides = feature_strides(config.output_stride)
        strides, dilations = strides_and_dilations(config.output_stride)
        for number in (2, 3):
            if strides[number] == 1:
                _dilate(self._stage(number), dilations[number - 1], dilations[number], config.dilation)

    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """The first layer, and the four stages."""
        return [self.features[0]], *(list(self._stage(number)) for number in range(4))

    def forward(self, x: Tensor) -> Features:
        """Features of (N, 3, H, W) normalised RGB; sizes are ceil(H / stride)."""
        x = self.features[0](x)
        features = []
        for number in range(4):
            for layer in self._stage(number):
                x = layer(x)
            features.append(x)
        return Features(*features)

    def _stage(self, number: int) -> nn.Sequential:
        return self.features[self._bounds[number] : self._bounds[number + 1]]


def _layers(config: PSPNetConfig) -> nn.Sequential:
    import torchvision

    kind = FrozenBatchNorm2d if config.backbone_norm == "frozen" else BatchNorm2d
    norm = partial(kind, momentum=config.bn_momentum)
    if config.backbone == "mobilenet_v2":
        model = torchvision.models.mobilenet_v2(weights=None, norm_layer=norm)
    else:  # eps is torchvision's
        model = torchvision.models.mobilenet_v3_large(weights=None, norm_layer=partial(norm, eps=0.001))
    return cast(nn.Sequential, model.features)


def _dilate(stage: nn.Sequential, before: int, dilation: int, style: Dilation) -> None:
    """Turn the stride of a stage's first depthwise convolution into dilation."""
    for index, layer in enumerate(stage):
        amount = before if index == 0 and style == "contract" else dilation
        for module in layer.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
                side = (module.kernel_size[0] - 1) // 2 * amount
                module.stride, module.dilation, module.padding = (1, 1), (amount, amount), (side, side)
