"""How large a window may be and how many go through the network at once: as many as memory allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pspnet_core.devices import free_cached, free_memory, is_out_of_memory
from pspnet_core.models.config import PSPNetConfig
from pspnet_core.types import RgbImage

logger = logging.getLogger(__name__)

LARGEST_PX = 2048
"""Side of a window that is as large as memory allows, unless the whole image fits."""

_LARGEST_BATCH = 16
_CPU_BATCH_PX = 512 * 512  # more at once is no faster there, and takes longer to cancel
_CPU_BYTES = 1_500_000_000
_UNKNOWN_BYTES = 1_000_000_000
# Numbers that a network holds at its widest, per pixel of its input; measured at 2 megapixels.
_VALUES_PER_PX = {"resnet18": 30, "resnet34": 30, "mobilenet_v2": 75, "mobilenet_v3_large": 75}
_VALUES_OF_LITES = 75
_VALUES_OF_BOTTLENECKS = 75


def bytes_per_pixel(config: PSPNetConfig, bytes_per_value: int) -> int:
    """Memory that a network needs for each pixel of its input, roughly, on top of its weights."""
    default = _VALUES_OF_LITES if config.backbone.startswith("efficientnet") else _VALUES_OF_BOTTLENECKS
    values = _VALUES_PER_PX.get(config.backbone, default)
    return values * bytes_per_value + 12 + 4 * config.num_classes // config.logit_stride**2 * 2


def memory_budget(device: torch.device) -> int:
    """Bytes that a prediction may take for windows: half of what is free, on CPUs at most 1.5 GB."""
    free = free_memory(device)
    half = (free if free is not None else _UNKNOWN_BYTES) // 2
    return min(half, _CPU_BYTES) if device.type == "cpu" else half


class Batches:
    """Sends windows through a network, so many at once as fit.

    Args:
        run: N windows of one size -> (N, K, h, w) logits.
        size: Most windows at once, 1 or more.
        device: Whose memory runs out.
    """

    def __init__(self, run: Callable[[Sequence[RgbImage]], Tensor], size: int, device: torch.device) -> None:
        self.size = size
        self._run = run
        self._device = device

    def __call__(self, images: Sequence[RgbImage]) -> list[Tensor]:
        """Logits (K, h, w) of each window. Where memory runs out, half as many go at once from then on.

        Raises:
            RuntimeError: As torch has it; also when one window alone does not fit.
            MemoryError: The same.
        """
        results: list[Tensor] = []
        while len(results) < len(images):
            part = images[len(results) : len(results) + self.size]
            try:
                results += self._run(part).unbind(0)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(part) == 1:
                    raise
                self.size = len(part) // 2
                logger.info("memory ran out with %d windows at once, going on with %d", len(part), self.size)
            else:
                continue
            free_cached(self._device)  # not earlier: the error holds on to what was computed before memory ran out
        return results


def batch_size(pixels: int, per_pixel: int, device: torch.device) -> int:
    """Windows of so many pixels to send at once."""
    if device.type == "cpu":
        return max(1, min(_LARGEST_BATCH, _CPU_BATCH_PX // pixels))
    return max(1, min(_LARGEST_BATCH, memory_budget(device) // (pixels * per_pixel)))


def largest_window(per_pixel: int, device: torch.device, grid: int) -> int:
    """Side of the largest window that memory allows, at most :data:`LARGEST_PX`, a multiple of ``grid``."""
    side = int((memory_budget(device) / per_pixel) ** 0.5) // grid * grid
    return max(256, min(LARGEST_PX, side))
