"""A network with all that is needed to use it, as one ``.safetensors`` file. Nothing in it is executable.

The metadata of the file holds, under ``pspnet_studio``, a JSON object: format, id, classes (channel i is the i-th
class), preprocessing, config, metrics, origin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pspnet_core.atomic import write_bytes
from pspnet_core.classes import ClassSet
from pspnet_core.errors import CheckpointError, ClassSetError
from pspnet_core.models.assembly import assemble, blank
from pspnet_core.models.config import AuxHead, PSPNetConfig
from pspnet_core.models.pspnet import PSPNet
from pspnet_core.types import RgbImage

FORMAT = 2
KEY = "pspnet_studio"
"""Of the entry of a file's metadata by which a checkpoint is known."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """``(value - mean) / std`` per RGB channel, on values 0 to 255."""

    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)

    def __call__(self, images: RgbImage | Sequence[RgbImage]) -> Tensor:
        """One (H, W, 3) uint8 RGB image, or several of one size, as (N, 3, H, W) float32 in channels_last layout."""
        batch = np.stack(images) if not isinstance(images, np.ndarray) else images[None]
        x = torch.from_numpy(batch.astype(np.float32))  # (N, H, W, 3)
        return x.sub_(torch.tensor(self.mean)).div_(torch.tensor(self.std)).permute(0, 3, 1, 2)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        mean, std = ([float(value) for value in values] for values in (self.mean, self.std))
        return {"order": "RGB", "range": 255, "mean": mean, "std": std}


@dataclass
class Checkpoint:
    """A trained network and what is known about it.

    Attributes:
        model: In evaluation mode; its channel i stands for class ``classes.indices[i]``.
        classes: Classes in channel order.
        preprocessing: From RGB bytes to network input.
        metrics: Scores, plain JSON values.
        origin: Where it comes from: initial weights, data, settings; plain JSON values.
    """

    model: PSPNet
    classes: ClassSet
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    metrics: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) != self.config.num_classes:
            raise ValueError(f"{len(self.classes)} classes for a network with {self.config.num_classes} channels")

    @property
    def config(self) -> PSPNetConfig:
        """The shape of the network."""
        return self.model.config

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of a SHA-256 over what predictions depend on: configuration, preprocessing, weights."""
        settings = {"config": self.config.to_json(), "preprocessing": self.preprocessing.to_json()}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` to ``path`` atomically, every tensor as it is. Raises: StorageError."""
    metadata = {
        "format": FORMAT,
        "id": checkpoint.id,
        "classes": checkpoint.classes.to_json(),
        "preprocessing": checkpoint.preprocessing.to_json(),
        "config": checkpoint.config.to_json(),
        "metrics": checkpoint.metrics,
        "origin": checkpoint.origin,
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.model.state_dict().items()}
    write_bytes(Path(path), save(tensors, {KEY: json.dumps(metadata)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU, its model in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged, of another program, or of a newer format.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise _unreadable(path, "It is a safetensors file, but not a checkpoint of PSPNet Studio.")
            # Copies: what the library gives lies in the file, which may change.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, str(error)) from error
    return build_checkpoint(text, tensors, path)


def build_checkpoint(text: str, tensors: dict[str, Tensor], path: Path) -> Checkpoint:
    """The checkpoint that a file holds.

    Args:
        text: Its entry :data:`KEY`.
        tensors: Its tensors; they become the network.
        path: To be named when it cannot be read.

    Raises:
        CheckpointError: It is damaged, or of a newer format.
    """
    try:
        return _build(json.loads(text), tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError, ClassSetError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


def _build(data: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    if data["format"] == 1:
        data, tensors = _from_format_1(data, tensors)
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']} is not known, expected {FORMAT}")
    steps = data["preprocessing"]
    if (steps["order"], steps["range"]) != ("RGB", 255):
        raise ValueError(f"preprocessing {steps} is not known")
    config = PSPNetConfig.from_json(data["config"])
    if len(config.bins) + len(config.aux) > len(tensors):  # each has tensors of its own
        raise ValueError(f"{len(config.bins)} bins and {len(config.aux)} auxiliary heads, but {len(tensors)} tensors")
    model = assemble(blank(config), tensors)
    preprocessing = Preprocessing(_triple(steps["mean"]), _triple(steps["std"]))
    classes = ClassSet.from_json(data["classes"])
    return Checkpoint(model, classes, preprocessing, dict(data["metrics"]), dict(data["origin"]))


def _from_format_1(data: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Format 1 knew only EfficientNet-Lite0 with one auxiliary head."""
    config = dict(data["config"])
    head = AuxHead(3, config.pop("aux_channels"), 0.4)
    values = PSPNetConfig(**{**config, "bins": tuple(config["bins"]), "aux": (head,)}).to_json()
    renamed = {name.replace("aux_head.", "aux_heads.0."): tensor for name, tensor in tensors.items()}
    return {**data, "format": FORMAT, "config": values}, renamed


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return r, g, b


def _unreadable(path: Path, detail: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} could not be read as a checkpoint.",
        f"{path}: {detail}",
        "Choose a .safetensors file written by PSPNet Studio, or train again.",
    )
