"""PSPNet: pyramid pooling over a dilated backbone, fused by concatenation, with auxiliary heads.

Source: Zhao et al., "Pyramid Scene Parsing Network" (CVPR 2017). docs/PAPER.md leads from its ideas to this code.

Legend: N batch, C channels, K classes, H, W input size, h, w feature size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.models.backbones import Backbone, Features, make_backbone
from pspnet_core.models.config import AuxHead, Norm, PSPNetConfig
from pspnet_core.models.decoder import Deconvolution, bilinear, crop
from pspnet_core.models.layers import ConvNormReLU, Freezable, make_dropout
from pspnet_core.models.pooling import pool_by_matrices


class PyramidPooling(nn.Module):
    """Average pooling to several grids, 1x1 convolution, bilinear back, concatenation after the input.

    Args:
        in_channels: C of the features.
        channels: Channels of each pooled branch.
        bins: Sides of the grids.
        norm: Of the branches; ``group`` leaves it out where the grid is one cell, which has no extent to normalise
            over.
        align_corners: Of the interpolation.
        momentum: Of batch norms.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        bins: tuple[int, ...],
        norm: Norm = "group",
        align_corners: bool = False,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.bins = bins
        self.align_corners = align_corners
        self.branches = nn.ModuleList(
            ConvNormReLU(in_channels, channels, 1, None if norm == "group" and side == 1 else norm, momentum)
            for side in bins
        )
        self.out_channels = in_channels + channels * len(bins)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C + channels x number of bins, h, w)."""
        # Exporters trace adaptive pooling with the sizes of the example: right there, silently wrong at every other.
        is_exported = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
        pool = pool_by_matrices if is_exported else F.adaptive_avg_pool2d
        pooled = [x]
        for side, branch in zip(self.bins, self.branches, strict=True):
            y = branch(pool(x, side))  # (N, channels, side, side)
            size = x.shape[-2], x.shape[-1]
            pooled.append(F.interpolate(y, size=size, mode="bilinear", align_corners=self.align_corners))
        return torch.cat(pooled, dim=1)


class PSPNet(Freezable):
    """The network. Input: (N, 3, H, W) float, RGB, normalised as its checkpoint says; any H and W.

    Args:
        config: Its shape. Weights are random; see :meth:`load_imagenet_backbone`.

    Attributes:
        loss_stride: In training mode :meth:`forward` gives the logits of each so many-th row and column only.
    """

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__()
        self.config = config
        self.loss_stride = 1
        self.backbone: Backbone = make_backbone(config)
        in_channels = self.backbone.channels[-1]
        if config.context == "pyramid":
            self.ppm = PyramidPooling(
                in_channels,
                config.bin_channels,
                config.bins,
                config.head_norm,
                config.align_corners,
                config.bn_momentum,
            )
            in_channels = self.ppm.out_channels
        self.fuse = ConvNormReLU(in_channels, config.head_channels, 3, config.head_norm, config.bn_momentum)
        if config.skip_channels:
            self._add_skip(config)
        channels = config.refine_channels if config.skip_channels else config.head_channels
        dropout = make_dropout(config.dropout_kind, config.dropout)
        self.classifier = nn.Sequential(dropout, nn.Conv2d(channels, config.num_classes, 1))
        self.aux_heads = nn.ModuleList(self._make_aux(head) for head in config.aux)
        if config.decoder == "deconv":
            self.upsampler = Deconvolution(config.num_classes, config.logit_stride)

    def _add_skip(self, config: PSPNetConfig) -> None:
        norm, momentum = config.head_norm, config.bn_momentum
        self.reduce = nn.Conv2d(config.head_channels, config.refine_channels, 1)
        self.skip = ConvNormReLU(self.backbone.channels[0], config.skip_channels, 1, norm, momentum)
        joined = config.refine_channels + config.skip_channels
        self.refine = nn.Sequential(
            nn.Conv2d(joined, joined, 3, padding=1, groups=joined, bias=False),
            ConvNormReLU(joined, config.refine_channels, 1, norm, momentum),
        )

    def _make_aux(self, head: AuxHead) -> nn.Module:
        config = self.config
        channels = self.backbone.channels[head.stage - 1]
        return nn.Sequential(
            ConvNormReLU(channels, head.channels, 3, config.head_norm, config.bn_momentum),
            make_dropout(config.dropout_kind, config.dropout),
            nn.Conv2d(head.channels, config.num_classes, 1),
        )

    @property
    def logit_stride(self) -> int:
        """Input size over the size of :meth:`logits`."""
        return self.config.logit_stride

    def load_imagenet_backbone(self, file: Path | None = None) -> None:
        """Start the backbone from the ImageNet weights on this computer, or in ``file``. Raises: CheckpointError."""
        from pspnet_core.models.weights import load_imagenet

        load_imagenet(self.backbone, self.config.backbone, file)

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of everything but the backbone."""
        return (p for name, p in self.named_parameters() if not name.startswith("backbone."))

    def class_parameters(self) -> frozenset[str]:
        """Names of the parameters whose first axis is the classes: classifiers, and the learned upsampling."""
        heads = ["classifier.1", *(f"aux_heads.{number}.2" for number in range(len(self.aux_heads)))]
        names = [f"{head}.{part}" for head in heads for part in ("weight", "bias")]
        return frozenset([*names, "upsampler.weight"] if self.config.decoder == "deconv" else names)

    @torch.no_grad()
    def scale_logits(self, factor: float) -> None:
        """Multiply all logits that this network will give, but not those of auxiliary heads; the argmax stays.

        Args:
            factor: Above 0. Dividing by a temperature makes confidence agree with accuracy (inference/calibration.py).

        Raises:
            ValueError: The factor is not a positive number.
        """
        if not 0.0 < factor < math.inf:
            raise ValueError(f"logits cannot be scaled by {factor}")
        last = self.classifier[1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        last.weight.mul_(factor)
        last.bias.mul_(factor)

    def freeze(self, num_stages: int) -> None:
        """Give the backbone's stem and first ``num_stages`` stages, 0 to 4, no gradient; 0 = nothing is frozen.

        Their batch norms keep their statistics through any later ``train()``. Raises: ValueError.
        """
        self.backbone.freeze(num_stages)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Logits at input size, in training mode of each :attr:`loss_stride`-th row and column of it.

        Returns:
            ``out``: (N, K, H, W). In training mode also one of the same shape per auxiliary head, in the order of
            ``config.aux``: ``aux``, ``aux2``, ``aux3``...
        """
        size = x.shape[-2], x.shape[-1]
        if not self.training:
            return {"out": self.upsample(self.logits(x), size)}
        main, aux = self.logits_and_aux(x)
        if self.config.decoder == "deconv":
            result = {"out": self.upsample(main, size)[..., :: self.loss_stride, :: self.loss_stride]}
        else:
            result = {"out": self._thinned(main, size, self.logit_stride)}
        for number, (logits, head) in enumerate(zip(aux, self.config.aux, strict=True), 1):
            name = "aux" if number == 1 else f"aux{number}"
            result[name] = self._thinned(logits, size, self.backbone.strides[head.stage - 1])
        return result

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, K, ceil(H / s), ceil(W / s)) logits, s = :attr:`logit_stride`."""
        return self._crop(self._main(self._features(x)), x, self.logit_stride)

    def logits_and_aux(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """:meth:`logits`, and the same of each auxiliary head at the stride of its stage."""
        features = self._features(x)
        aux = [
            self._crop(module(features[head.stage - 1]), x, self.backbone.strides[head.stage - 1])
            for module, head in zip(self.aux_heads, self.config.aux, strict=True)
        ]
        return self._crop(self._main(features), x, self.logit_stride), aux

    def upsample(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, K, h, w) from :meth:`logits` of an input of ``size`` (H, W) -> (N, K, H, W)."""
        if self.config.decoder == "deconv":
            return crop(self.upsample_grid(logits), size)
        return self._resize(logits, size, self.logit_stride)

    def upsample_grid(self, logits: Tensor) -> Tensor:
        """Logits that lie on the grid of :meth:`num_logits` -> input pixels.

        Returns:
            (N, K, s h, s w), or with ``align_corners`` (N, K, s (h - 1) + 1, s (w - 1) + 1).
        """
        if self.config.decoder == "deconv":
            out: Tensor = self.upsampler(logits)
            return out
        s, (height, width) = self.logit_stride, logits.shape[-2:]
        if self.config.align_corners:
            return bilinear(logits, (s * (height - 1) + 1, s * (width - 1) + 1), True)
        return bilinear(logits, (s * height, s * width), False)

    def num_logits(self, length: int) -> int:
        """How many logits cover ``length`` pixels when they lie exactly :attr:`logit_stride` pixels apart."""
        s = self.logit_stride
        return -(-(length - 1) // s) + 1 if self.config.align_corners else -(-length // s)

    def padding(self, length: int) -> int:
        """Pixels to append to ``length`` so that the logits lie exactly :attr:`logit_stride` pixels apart."""
        if self.backbone.input_multiple > 1:
            return 0  # the network pads by itself
        multiple = max(self.config.output_stride, self.logit_stride)
        return (1 - length) % multiple if self.config.align_corners else -length % multiple

    def _features(self, x: Tensor) -> Features:
        # Zeros (the mean colour) to the right and below: constant paddings inside then fit every size.
        multiple = self.backbone.input_multiple
        if multiple > 1:
            height, width = x.shape[-2], x.shape[-1]
            x = F.pad(x, (0, _ceil(width, multiple) - width, 0, _ceil(height, multiple) - height))
        features: Features = self.backbone(x)
        return features

    def _main(self, features: Features) -> Tensor:
        y = features.stage4
        if self.config.context == "pyramid":
            y = self.ppm(y)
        y = self.fuse(y)
        if self.config.skip_channels:
            low = features.stage1
            y = F.interpolate(
                self.reduce(y), size=low.shape[-2:], mode="bilinear", align_corners=self.config.align_corners
            )
            y = self.refine(torch.cat([y, self.skip(low)], dim=1))
        out: Tensor = self.classifier(y)
        return out

    def _crop(self, logits: Tensor, x: Tensor, stride: int) -> Tensor:
        if self.backbone.input_multiple == 1:
            return logits
        return crop(logits, (_ceil(x.shape[-2], stride) // stride, _ceil(x.shape[-1], stride) // stride))

    def _thinned(self, logits: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        """:meth:`_resize`, of each :attr:`loss_stride`-th row and column: two small matrix products for each channel.

        With 150 classes most of a training step would go into pixels that say the same as their neighbours.
        """
        every = self.loss_stride
        if every == 1:
            return self._resize(logits, size, stride)
        vertical, horizontal = (
            self._resize(torch.eye(n, dtype=logits.dtype, device=logits.device).view(1, n, n, 1), (length, 1), stride)
            for n, length in zip(logits.shape[-2:], size, strict=True)
        )  # (1, n, length, 1): what each cell gives to each pixel
        rows, columns = vertical[0, :, ::every, 0], horizontal[0, :, ::every, 0]
        return rows.T @ logits @ columns

    def _resize(self, logits: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        if self.backbone.input_multiple == 1:  # as all publishers do: from ceil(H / s) to H, whatever that ratio is
            return bilinear(logits, size, self.config.align_corners)
        height, width = logits.shape[-2:]
        return crop(bilinear(logits, (stride * height, stride * width), False), size)


def _ceil(length: int, multiple: int) -> int:
    """``length`` rounded up; without ``-length``, whose quotient and remainder an exported graph rounds differently."""
    return (length + multiple - 1) // multiple * multiple


def make_model(config: PSPNetConfig) -> PSPNet:
    """The network of ``config``: a :class:`PSPNet`, or an FCN where there is no context."""
    from pspnet_core.models.fcn import FCN

    return FCN(config) if config.context == "none" else PSPNet(config)
