"""The loss times a factor, so that small gradients do not vanish in float16.

``torch.amp.GradScaler`` does this for the optimisers of torch; ours is not one of them.
Source: Micikevicius et al., "Mixed Precision Training" (ICLR 2018), section 3.2. Not measured on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_START = 2.0**16
_GROWTH_STEPS = 2000


class LossScale:
    """The factor: halved when a gradient overflows, doubled after 2,000 steps without an overflow.

    Args:
        is_used: Otherwise it is 1 and stays so.

    Attributes:
        value: The factor.
        good_steps: Steps since it changed.
    """

    def __init__(self, is_used: bool) -> None:
        self.value = _START if is_used else 1.0
        self.good_steps = 0
        self._is_used = is_used

    @torch.no_grad()
    def undo(self, parameters: Iterable[Tensor]) -> None:
        """Divide the gradients of ``parameters`` by the factor."""
        if self.value == 1.0:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(self.value)

    @property
    def may_shrink(self) -> bool:
        """Whether an overflow may come from the factor, and not from the network."""
        return self._is_used and self.value > 1.0

    def shrink(self) -> None:
        """A gradient overflowed."""
        self.value, self.good_steps = max(1.0, self.value / 2), 0

    def stay(self) -> None:
        """A step went well."""
        self.good_steps += 1
        if self._is_used and self.good_steps >= _GROWTH_STEPS:
            self.value, self.good_steps = self.value * 2, 0
