"""Logits of a whole image at the model's stride: small enough to keep, exact enough to go on from. Imports no torch.

Legend: K classes, h, w logit size, H, W image size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class LogitGrid:
    """What a model says about an image, before interpolation and argmax.

    Attributes:
        values: (K, h, w) float16 logits; not to be written to.
        stride: s, distance of logits in image pixels.
        class_ids: Class id of each of the K channels.
        height: H, of the image.
        width: W, of the image.
        align_corners: Where logits lie: logit i stands on pixel ``s i`` if True, at the coordinate ``s (i + 0.5)``, in
            the middle of its s pixels, if False (pixel centres are at +0.5).
    """

    values: NDArray[np.float16]
    stride: int
    class_ids: tuple[int, ...]
    height: int
    width: int
    align_corners: bool

    def __post_init__(self) -> None:
        expected = (len(self.class_ids), *grid_shape(self.height, self.width, self.stride, self.align_corners))
        assert self.values.shape == expected, (self.values.shape, expected)
        assert self.values.dtype == np.float16, self.values.dtype

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return int(self.values.nbytes)


def grid_shape(height: int, width: int, stride: int, align_corners: bool) -> tuple[int, int]:
    """(h, w) of the logits that cover an image of ``height`` x ``width`` pixels."""
    if align_corners:
        return -(-(height - 1) // stride) + 1, -(-(width - 1) // stride) + 1
    return -(-height // stride), -(-width // stride)
