"""Losses over labelled pixels only.

Legend: N batch, K classes, H, W crop size, h, w logit size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pspnet_core.types import UNLABELLED


def summed_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Sum (not mean) of the cross-entropy over labelled pixels, in float32.

    A sum lets micro-batches be added exactly: each is divided by the labelled pixels of the whole batch, so that crops
    count by what is labelled in them. Without any labelled pixel it is 0 with zero gradient, not NaN.

    Args:
        logits: (N, K, h, w) at a lower resolution; upsampled bilinearly here.
        target: (N, H, W) int64 channels, 255 = unlabelled.
    """
    full = F.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)
    return F.cross_entropy(full, target, ignore_index=UNLABELLED, reduction="sum")


def num_labelled(target: Tensor) -> int:
    """Labelled pixels of (N, H, W) int64 channels."""
    return int(torch.count_nonzero(target != UNLABELLED))
