"""What the queue of next images knows about each: deep features at a few places, and how sure a model is there.

Features are those of the ImageNet network, never of a version, so that they stay valid while versions come and go.

Legend: N images, c places, D features, H, W image size, h, w feature size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pspnet_core.devices import numerics_for, resolve_device
from pspnet_core.imaging.cv import cv2
from pspnet_core.inference.logits import LogitGrid
from pspnet_core.inference.ranking import SPEC as SPEC
from pspnet_core.inference.ranking import ImageSummary
from pspnet_core.models.backbones.efficientnet_lite import EfficientNetLite
from pspnet_core.models.weights import imagenet_preprocessing, load_imagenet
from pspnet_core.types import RgbImage

WORKING_PX = 512
"""The longer side of what is looked at: a reduced picture of this size is as good as the image."""

_NETWORK = "efficientnet_lite0"
_LONG, _SHORT = 12, 8  # places along the longer and the shorter side
_NUM_FEATURES = 64
_PROJECTION_SEED = 1


class Summariser:
    """Computes the features of images for the queue.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        weights: File with the ImageNet weights; None = what is on this computer.

    Raises:
        CheckpointError: The weights are missing or damaged.
        DeviceError: The device is not there.
        ValueError: There is no such kind of device.
    """

    def __init__(self, device: str = "auto", weights: Path | None = None) -> None:
        self._numerics = numerics_for(resolve_device(device))
        network = EfficientNetLite(_NETWORK, output_stride=32)
        load_imagenet(network, _NETWORK, weights)
        self._network = network.eval().requires_grad_(False).to(self._numerics.device)
        self._network.to(memory_format=self._numerics.memory_format)
        self._preprocessing = imagenet_preprocessing(_NETWORK)
        rng = np.random.default_rng(_PROJECTION_SEED)
        self._projection = (rng.normal(size=(sum(network.channels), _NUM_FEATURES)) / _NUM_FEATURES**0.5).astype(
            np.float32
        )

    @torch.inference_mode()
    def cells(self, image: RgbImage) -> NDArray[np.float16]:
        """(c, D) float16 features of 96 places spread over an (H, W, 3) uint8 RGB image of any size.

        Raises:
            ValueError: The array is something else, or empty.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"image must be (H, W, 3) uint8, found {image.shape} {image.dtype}")
        height, width = image.shape[:2]
        scale = WORKING_PX / max(height, width)
        size = tuple(max(32, round(side * scale / 32) * 32) for side in (width, height))
        x = self._preprocessing(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        x = x.to(self._numerics.device).contiguous(memory_format=self._numerics.memory_format)
        with self._numerics.autocast():
            features = self._network(x)
        rows, columns = _places(height, width)
        area = (
            features.stage3.shape[-2],
            features.stage3.shape[-1],
        )  # of early stages: the mean over what a cell covers
        every = [F.adaptive_avg_pool2d(features.stage1, area), F.adaptive_avg_pool2d(features.stage2, area)]
        every += [features.stage3, features.stage4]
        values = torch.cat([_at(stage.float(), rows, columns) for stage in every], dim=1)
        cells: NDArray[np.float16] = (values.cpu().numpy() @ self._projection).astype(np.float16)
        return cells


def summary(cells: NDArray[np.float16], logits: LogitGrid | None = None) -> ImageSummary:
    """What the ranking needs to know.

    Args:
        cells: Of :meth:`Summariser.cells`.
        logits: Of the model in use for the same image, whole or reduced; None without a model.
    """
    if logits is None:
        return ImageSummary(cells)
    rows, columns = _places(logits.height, logits.width)
    h, w = logits.values.shape[1:]
    grid = np.ix_((rows * h).astype(np.int64), (columns * w).astype(np.int64))
    values = logits.values[:, *grid].reshape(len(logits.class_ids), -1).astype(np.float32)  # (K, c)
    values -= values.max(axis=0)
    probabilities = np.exp(values)
    probabilities /= probabilities.sum(axis=0)
    ordered = np.sort(probabilities, axis=0)
    margin = ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)
    ids = np.array(logits.class_ids, np.uint8)[values.argmax(axis=0)]
    return ImageSummary(cells, (1.0 - margin).astype(np.float32), ids)


def _places(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of the places, as shares of the height and the width."""
    down, across = (_SHORT, _LONG) if width >= height else (_LONG, _SHORT)
    return (np.arange(down) + 0.5) / down, (np.arange(across) + 0.5) / across


def _at(features: Tensor, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Tensor:
    """(1, C, h, w) -> (c, C): interpolated at the places, each of length 1."""
    y, x = (torch.as_tensor(2 * shares - 1, dtype=features.dtype, device=features.device) for shares in (rows, columns))
    grid = torch.stack([x[None, :].expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)[None]
    sampled = F.grid_sample(features, grid, align_corners=False, padding_mode="border")[0]  # (C, rows, columns)
    return F.normalize(sampled.flatten(1).T, dim=1)
