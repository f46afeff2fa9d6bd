"""PSPNet: pyramid pooling over a backbone, fused by concatenation, with a fine skip and an auxiliary head.

Source: Zhao et al., "Pyramid Scene Parsing Network" (CVPR 2017). The preset ``studio_fast`` differs from the paper in
its backbone (EfficientNet-Lite0 at output stride 16), in GroupNorm instead of BatchNorm in the heads (batches of few
crops), and in the skip from stride 4, without which small objects were not found.

Legend: N batch, C channels, K classes, H, W input size, h, w feature size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.models.backbones.efficientnet_lite import EfficientNetLite, Features, load_imagenet

_GROUP_CHANNELS = 8  # channels per group of GroupNorm


@dataclass(frozen=True, slots=True)
class PSPNetConfig:
    """Everything that determines the shape of the network.

    Attributes:
        num_classes: K, 1 to 255.
        backbone: Name of the backbone.
        output_stride: Input size over the size of the backbone's last features, 16 or 32.
        bins: Sides of the pooled grids.
        bin_channels: Channels of each pooled branch; a multiple of 8, as all channel counts of heads.
        head_channels: Channels after fusion.
        skip_channels: Channels of the stride-4 skip.
        refine_channels: Channels at stride 4 before the classifier.
        aux_channels: Channels of the auxiliary head.
        dropout: Share of channels dropped before the classifiers, 0 to 1.
    """

    num_classes: int
    backbone: str = "efficientnet_lite0"
    output_stride: int = 16
    bins: tuple[int, ...] = (1, 2, 3, 6)
    bin_channels: int = 64
    head_channels: int = 128
    skip_channels: int = 32
    refine_channels: int = 64
    aux_channels: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.num_classes <= 255:
            raise ValueError(f"number of classes must be 1 to 255, found {self.num_classes}")
        for name in ("bin_channels", "head_channels", "skip_channels", "refine_channels", "aux_channels"):
            value = getattr(self, name)
            if value < _GROUP_CHANNELS or value % _GROUP_CHANNELS:
                raise ValueError(f"{name} must be a multiple of {_GROUP_CHANNELS}, found {value}")
        if not self.bins or min(self.bins) < 1:
            raise ValueError(f"bins must be positive, found {self.bins}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), found {self.dropout}")

    @classmethod
    def studio_fast(cls, num_classes: int) -> PSPNetConfig:
        """The default network: learns in minutes on a CPU."""
        return cls(num_classes)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self) | {"bins": list(self.bins)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PSPNetConfig:
        """Inverse of :meth:`to_json`. Raises: TypeError or ValueError when ``data`` is something else."""
        return cls(**{**data, "bins": tuple(data["bins"])})


class ConvNormReLU(nn.Sequential):
    """Convolution without bias, GroupNorm (or none), ReLU."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 1, norm: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=not norm)
        ]
        if norm:
            layers.append(nn.GroupNorm(channels // _GROUP_CHANNELS, channels))
        super().__init__(*layers, nn.ReLU(inplace=True))


class PyramidPooling(nn.Module):
    """Average pooling to several grids, 1x1 convolution, bilinear back, concatenation after the input.

    Args:
        in_channels: C of the features.
        channels: Channels of each pooled branch.
        bins: Sides of the grids.
    """

    def __init__(self, in_channels: int, channels: int, bins: tuple[int, ...]) -> None:
        super().__init__()
        self.bins = bins
        # One cell has no spatial extent to normalise over: a GroupNorm there would erase the image's mean features.
        self.branches = nn.ModuleList(ConvNormReLU(in_channels, channels, norm=b > 1) for b in bins)
        self.out_channels = in_channels + channels * len(bins)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C + channels x number of bins, h, w)."""
        pooled = [x]
        for side, branch in zip(self.bins, self.branches, strict=True):
            y = branch(F.adaptive_avg_pool2d(x, side))  # (N, channels, side, side)
            pooled.append(F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False))
        return torch.cat(pooled, dim=1)


class PSPNet(nn.Module):
    """The network. Input: (N, 3, H, W) float, RGB, normalised as its checkpoint says; any H and W.

    Args:
        config: Its shape. Weights are random; see :meth:`load_imagenet_backbone`.
    """

    logit_stride = 4

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = EfficientNetLite(config.backbone, config.output_stride)
        self.ppm = PyramidPooling(self.backbone.high_channels, config.bin_channels, config.bins)
        self.fuse = ConvNormReLU(self.ppm.out_channels, config.head_channels, 3)
        self.reduce = nn.Conv2d(config.head_channels, config.refine_channels, 1)
        self.skip = ConvNormReLU(self.backbone.low_channels, config.skip_channels)
        joined = config.refine_channels + config.skip_channels
        self.refine = nn.Sequential(
            nn.Conv2d(joined, joined, 3, padding=1, groups=joined, bias=False),
            ConvNormReLU(joined, config.refine_channels),
        )
        self.classifier = nn.Sequential(
            nn.Dropout2d(config.dropout), nn.Conv2d(config.refine_channels, config.num_classes, 1)
        )
        self.aux_head = nn.Sequential(
            ConvNormReLU(self.backbone.middle_channels, config.aux_channels, 3),
            nn.Dropout2d(config.dropout),
            nn.Conv2d(config.aux_channels, config.num_classes, 1),
        )

    def load_imagenet_backbone(self) -> None:
        """Start the backbone from ImageNet. Raises: CheckpointError."""
        load_imagenet(self.backbone)

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of everything but the backbone."""
        return (p for name, p in self.named_parameters() if not name.startswith("backbone."))

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, K, ceil(H / 4), ceil(W / 4)) logits at :attr:`logit_stride`."""
        return self._crop(self._main(self._features(x)), x, self.logit_stride)

    def logits_and_aux(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`logits`, and the auxiliary head's (N, K, ceil(H / 16), ceil(W / 16))."""
        features = self._features(x)
        main = self._crop(self._main(features), x, self.logit_stride)
        return main, self._crop(self.aux_head(features.middle), x, 16)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """``out``: (N, K, H, W) logits at input size; in training mode also ``aux`` of the same shape."""
        if not self.training:
            return {"out": self._upsample(self.logits(x), x, self.logit_stride)}
        main, aux = self.logits_and_aux(x)
        return {"out": self._upsample(main, x, self.logit_stride), "aux": self._upsample(aux, x, 16)}

    def _features(self, x: Tensor) -> Features:
        # Zeros (the mean colour) to the right and below: constant paddings inside then fit every size.
        multiple = self.backbone.input_multiple
        features: Features = self.backbone(F.pad(x, (0, -x.shape[-1] % multiple, 0, -x.shape[-2] % multiple)))
        return features

    def _main(self, features: Features) -> Tensor:
        y = self.reduce(self.fuse(self.ppm(features.high)))
        y = F.interpolate(y, size=features.low.shape[-2:], mode="bilinear", align_corners=False)
        out: Tensor = self.classifier(self.refine(torch.cat([y, self.skip(features.low)], dim=1)))
        return out

    @staticmethod
    def _crop(logits: Tensor, x: Tensor, stride: int) -> Tensor:
        return logits[..., : -(-x.shape[-2] // stride), : -(-x.shape[-1] // stride)]

    @staticmethod
    def _upsample(logits: Tensor, x: Tensor, stride: int) -> Tensor:
        full = F.interpolate(logits, scale_factor=float(stride), mode="bilinear", align_corners=False)
        return full[..., : x.shape[-2], : x.shape[-1]]
