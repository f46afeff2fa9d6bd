"""What publishers' own code computed, with weights that anyone can make again from a list of names and shapes.

``tests/data/golden/NAME.json`` lists a publisher's names and shapes, ``NAME.npz`` holds what its code gave for
:func:`image` with the weights of :func:`state_dict`.
"""

from __future__ import annotations

import json
import math
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[1] / "data" / "golden"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def tensor_for(key: str, shape: list[int]) -> Tensor:
    """Pseudo-random tensor for one name: float32, or an int64 zero for ``num_batches_tracked``."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if key.endswith("running_var"):
        return torch.rand(shape, generator=generator) + 0.5
    if key.endswith("running_mean"):
        return torch.randn(shape, generator=generator) * 0.1
    if len(shape) >= 2:
        return torch.randn(shape, generator=generator) * math.sqrt(0.4 / math.prod(shape[1:]))
    if key.endswith("weight"):
        return torch.rand(shape, generator=generator) * 0.5 + 0.75
    return torch.randn(shape, generator=generator) * 0.1


@cache
def about(name: str) -> dict[str, Any]:
    """``publisher``, ``classes``, ``output`` and ``keys`` of one network."""
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return data


def state_dict(name: str) -> dict[str, Tensor]:
    """All tensors, in the publisher's own names."""
    return {key: tensor_for(key, shape) for key, shape in about(name)["keys"].items()}


def output(name: str) -> Tensor:
    """What the publisher's code gave for :func:`image`: (1, K, 65, 81) float32."""
    return torch.from_numpy(np.load(FOLDER / f"{name}.npz")["output"])


def image(height: int = 65, width: int = 81) -> Tensor:
    """The input: (1, 3, H, W), already normalised."""
    return torch.randn((1, 3, height, width), generator=torch.Generator().manual_seed(0))


def randomise(module: torch.nn.Module) -> dict[str, Tensor]:
    """Give a network the weights of :func:`tensor_for`, and return them under its own names."""
    made = {key: tensor_for(key, list(tensor.shape)) for key, tensor in module.state_dict().items()}
    module.load_state_dict(made)
    module.eval()
    return made


def difference(actual: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest absolute value."""
    return float((actual - expected).abs().max() / expected.abs().max())
