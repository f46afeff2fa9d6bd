"""What a run does when a step fails: back to good weights, or on with less memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pspnet_core.devices import free_cached, out_of_memory
from pspnet_core.training.learner import DivergedError, Learner

_PERIOD = 50  # steps between the weights that are gone back to
_MOST_ROLLBACKS = 3
_SMALLEST_CROP_PX = 64
_PIECE = 8 << 20  # bytes between two yields, or one tensor


class Recovery:
    """Remembers good weights, and the size of crops that fits into memory.

    Args:
        device: Where the run computes.

    Attributes:
        crop_px: Side of the crops.
        rollbacks: How often it went back.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._good: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        self.crop_px = 0
        self.rollbacks = 0

    def remember(self, learner: Learner, now: bool = False) -> Iterator[None]:
        """Keep a copy of the weights in main memory, every 50 steps or ``now``: yields after each piece.

        Until it ends there is the copy before, and the weights must not change.
        """
        if not now and learner.num_steps % _PERIOD:
            return
        copies: dict[str, Tensor] = {}
        copied = 0
        for name, tensor in learner.tensors().items():
            copies[name] = tensor.detach().to("cpu", copy=True)
            copied += tensor.nbytes
            if copied >= _PIECE:
                copied = 0
                yield
        self._good = copies, learner.counters()

    def roll_back(self, learner: Learner, error: DivergedError) -> str:
        """Back to the last good weights, and on with half the learning rate; says so.

        Raises:
            DivergedError: ``error``, when this did not help three times.
        """
        assert self._good is not None, "remember() comes before the first step"
        self.rollbacks += 1
        if self.rollbacks > _MOST_ROLLBACKS:
            raise error
        tensors, counters = self._good
        step, lr_scale = learner.num_steps, learner.lr_scale / 2
        learner.forget_gradients()
        kept = {"num_steps": step, "lr_scale": lr_scale, "micro_batch": learner.micro_batch}
        learner.restore(tensors, {**counters, **kept})
        return (
            f"The loss of step {step + 1} was not a number: back to the weights of step {counters['num_steps']}, "
            f"and on with {lr_scale:g} times the learning rate."
        )

    def use_less_memory(self, learner: Learner) -> str:
        """Smaller parts of a batch, then smaller crops; says so.

        Raises:
            DeviceError: They are small already.
        """
        learner.forget_gradients()
        free_cached(self._device)
        if learner.micro_batch > 1:
            learner.micro_batch //= 2
            return f"Memory ran out: on with {learner.micro_batch} crop(s) at a time; a batch has as many as before."
        if self.crop_px <= _SMALLEST_CROP_PX:
            raise out_of_memory(self._device, "training")
        self.crop_px = max(_SMALLEST_CROP_PX, self.crop_px // 2 // 32 * 32)
        return f"Memory ran out: on with crops of {self.crop_px} pixels."
