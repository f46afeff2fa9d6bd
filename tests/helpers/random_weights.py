"""Random weights and statistics for comparing two networks: whatever one of them leaves out or swaps then shows."""

from __future__ import annotations

import math

import torch
from torch import nn


def randomise(network: nn.Module, seed: int = 0, louder: str | None = None) -> None:
    """Fill every parameter and every statistic; activations stay near 1 through 150 layers.

    Args:
        network: Changed in place.
        seed: Of the generator.
        louder: Weights whose names contain this are ten times as large: for classifiers, whose logits are a few units.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            value = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                value = torch.rand(tensor.shape, generator=generator) + 0.5
            elif tensor.ndim >= 2:
                value *= math.sqrt(0.4 / math.prod(tensor.shape[1:]))
            else:
                value *= 0.1
            tensor.copy_(value * 10 if louder and louder in name and tensor.ndim >= 2 else value)
