"""One window seen several times: mirrored, and at several scales.

Legend: N batch, K classes, H, W window size, h, w logit size, s stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pspnet_core.imaging.cv import cv2
from pspnet_core.inference.logits import grid_shape
from pspnet_core.models.checkpoint import Preprocessing
from pspnet_core.models.config import PSPNetConfig
from pspnet_core.types import RgbImage

Run = Callable[[Tensor], Tensor]
"""(N, 3, H, W) float32 on the CPU -> (N, K, h, w) float32 logits."""

SCALES = (0.25, 4.0)
"""Least and largest scale."""


@dataclass(frozen=True, slots=True)
class Views:
    """How often each window is seen. What :func:`to_average` gives is averaged at the model's stride.

    Attributes:
        flip: Also mirrored left to right.
        scales: Factors of the window's size, each 0.25 to 4.

    Raises:
        ValueError: There is no scale, or an impossible one.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        low, high = SCALES
        if not self.scales or not all(low <= scale <= high for scale in self.scales):
            raise ValueError(f"scales must be {low} to {high}, found {self.scales}")

    @property
    def count(self) -> int:
        """Times that the network sees each window."""
        return len(self.scales) * (1 + self.flip)


def window_logits(
    images: Sequence[RgbImage], views: Views, run: Run, preprocessing: Preprocessing, config: PSPNetConfig
) -> Tensor:
    """Logits of windows of one size; with several views from the mean of what :func:`to_average` gives of them.

    Args:
        images: N windows, each (H, W, 3) uint8 RGB.
        views: How each is seen.
        run: The network.
        preprocessing: From bytes to its input.
        config: Its shape.

    Returns:
        (N, K, h, w) float32, exactly s pixels apart from the first pixel on.
    """
    size = images[0].shape[:2]
    if views.count == 1 and views.scales == (1.0,):
        return _grid_logits(preprocessing(images), False, run, config)
    total: Tensor | None = None
    for scale in views.scales:
        scaled = [_scaled(image, scale) for image in images]
        x = preprocessing(scaled)
        for mirrored in (False, True)[: 1 + views.flip]:
            part = to_average(_grid_logits(x, mirrored, run, config), config)
            part = _regrid(part, (x.shape[2], x.shape[3]), (size[0], size[1]), config)
            total = part if total is None else total.add_(part)
    assert total is not None
    return from_average(total / views.count, config)


def is_same_for_all(config: PSPNetConfig) -> bool:
    """Whether all classes are interpolated alike: what is added to all classes of a logit then changes nothing.

    A deconvolution has a kernel of its own for each class: there it does.
    """
    return config.decoder != "deconv"


def to_average(logits: Tensor, config: PSPNetConfig) -> Tensor:
    """What may be averaged of logits (..., K, h, w): their probabilities; with deconvolution the logits themselves."""
    if not is_same_for_all(config):
        return logits.float().clone()
    return logits.float().softmax(dim=-3)


def from_average(mean: Tensor, config: PSPNetConfig) -> Tensor:
    """Logits again, from a mean of :func:`to_average`; finite also where a probability is 0."""
    return mean.clamp_min(1e-30).log() if is_same_for_all(config) else mean


def _scaled(image: RgbImage, scale: float) -> RgbImage:
    if scale == 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))


def _grid_logits(x: Tensor, mirrored: bool, run: Run, config: PSPNetConfig) -> Tensor:
    height, width = x.shape[-2:]
    right, below = padding(width, config), padding(height, config)
    padded = F.pad(x, (0, right, 0, below)) if right or below else x  # with the mean colour
    # Padded before it is mirrored: then the logits of both lie on the same pixels.
    logits = run(padded.flip(-1)).flip(-1) if mirrored else run(padded)
    rows, columns = grid_shape(height, width, config.logit_stride, config.align_corners)
    return logits[..., :rows, :columns]


def padding(length: int, config: PSPNetConfig) -> int:
    """Pixels to append to ``length`` so that logits lie exactly a stride apart, also mirrored."""
    multiple = max(config.output_stride, config.logit_stride, 32 if config.backbone.startswith("efficientnet") else 1)
    return (1 - length) % multiple if config.align_corners else -length % multiple


def _regrid(x: Tensor, size: tuple[int, int], target: tuple[int, int], config: PSPNetConfig) -> Tensor:
    """(N, K, h', w') on the grid of an image of ``size`` -> on the grid of the same image at ``target`` size."""
    if size == target:
        return x
    stride, align = config.logit_stride, config.align_corners
    shape = grid_shape(*target, stride, align)
    rows, columns = (
        _line(count, length, now, known, stride, align).to(x.device)
        for count, length, now, known in zip(shape, target, size, x.shape[-2:], strict=True)
    )
    return rows @ x @ columns.t()


def _line(count: int, length: int, now: int, known: int, stride: int, align: bool) -> Tensor:
    """(count, known): linear interpolation at the places of ``count`` logits of an axis that is ``length`` long."""
    centre = 0.5 / stride if align else 0.5
    position = (np.arange(count) + centre) * (now / length) - centre
    position = position.clip(0, known - 1)
    below = np.minimum(position.astype(int), max(known - 2, 0))
    matrix = np.zeros((count, known), np.float32)
    matrix[np.arange(count), below] = 1 - (position - below)
    if known > 1:
        matrix[np.arange(count), below + 1] += position - below
    return torch.from_numpy(matrix)
