"""Losses over labelled pixels only.

Legend: N batch, K classes, H, W crop size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pspnet_core.types import UNLABELLED


def summed_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum (not mean) of the cross-entropy over labelled pixels, in float32, or float64 for such logits.

    A sum lets micro-batches be added exactly: each is divided by the labelled pixels of the whole batch, so that crops
    count by what is labelled in them. Without any labelled pixel it is 0 with zero gradient, not NaN.

    Args:
        logits: (N, K, H, W).
        target: (N, H, W) int64 channels, 255 = unlabelled.
        weights: (K,) float32 of the classes; all 1 when not given.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    weights = None if weights is None else weights.to(logits.dtype)
    return F.cross_entropy(logits, target, weights, ignore_index=UNLABELLED, reduction="sum")


def total_weight(target: Tensor, weights: Tensor) -> float:
    """Sum of the class weights (K,) over the labelled pixels of (N, H, W) int64 channels."""
    counts = torch.bincount(target.reshape(-1), minlength=UNLABELLED + 1)
    return float(counts[: len(weights)].double() @ weights.double())


def class_weights(counts: Sequence[int], power: float) -> Tensor:
    """(K,) float32 weights (share of labelled pixels)^-power, with mean 1 over pixels; 1 for classes without any.

    At most ten times the smallest: a class of a few strokes must not rule the gradient.
    """
    shares = torch.tensor(counts, dtype=torch.float64) / max(1, sum(counts))
    weights = torch.where(shares > 0, shares.clamp(min=1e-12) ** -power, 1.0)
    if not bool((shares > 0).any()):
        return weights.float()
    weights = weights.clamp(max=10 * float(weights[shares > 0].min()))
    weights /= (weights * shares).sum()
    return torch.where(shares > 0, weights, 1.0).float()
