"""AdamW in a few lines.

``torch.optim`` loads torch's compiler with its first optimiser: 900 modules and more than a second that a window
beside would feel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters with common settings.

    Attributes:
        parameters: Leaves that require a gradient.
        peak_lr: Learning rate at factor 1.
        weight_decay: Decoupled: each step multiplies the weights by 1 - lr x this.
    """

    parameters: list[Tensor]
    peak_lr: float
    weight_decay: float


class AdamW:
    """Adam with decoupled weight decay, on groups of parameters.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019).

    Args:
        groups: Of parameters.
        betas: Decay of the averages of gradient and squared gradient.
        eps: Added to the root of the latter.

    Attributes:
        num_steps: Steps done, which the averages are corrected for.
    """

    def __init__(
        self, groups: Iterable[ParameterGroup], betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        self._groups = list(groups)
        self._betas, self._eps = betas, eps
        self._averages = [
            [(torch.zeros_like(p), torch.zeros_like(p)) for p in group.parameters] for group in self._groups
        ]
        self.num_steps = 0

    @property
    def averages(self) -> list[Tensor]:
        """What it remembers from step to step beside :attr:`num_steps`, in the order of the parameters: no copies."""
        return [tensor for group in self._averages for pair in group for tensor in pair]

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for group in self._groups:
            for parameter in group.parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self, lr_factor: float) -> None:
        """One step at ``lr_factor`` times the peak learning rates; parameters without gradient stay."""
        self.num_steps += 1
        beta1, beta2 = self._betas
        correction1, correction2 = 1 - beta1**self.num_steps, 1 - beta2**self.num_steps
        for group, averages in zip(self._groups, self._averages, strict=True):
            lr = group.peak_lr * lr_factor
            for parameter, (mean, square) in zip(group.parameters, averages, strict=True):
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - lr * group.weight_decay)
                mean.lerp_(parameter.grad, 1 - beta1)
                square.mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                divisor = square.sqrt().div_(correction2**0.5).add_(self._eps)
                parameter.addcdiv_(mean, divisor, value=-lr / correction1)
