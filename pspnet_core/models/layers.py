"""Norms and convolution blocks of all networks here.

Legend: N batch, C channels, h, w feature size.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.models.config import GROUP_CHANNELS, DropoutKind, Norm


class Freezable(nn.Module):
    """A module whose batch norms can be kept as they are."""

    def __init__(self) -> None:
        super().__init__()
        self._has_frozen_batchnorm = False
        self._new_norms: frozenset[str] = frozenset()

    def freeze_batchnorm(self, new: Collection[str] = ()) -> None:
        """Keep the statistics of batch norms as they are, through any later ``train()``; scales still learn.

        Args:
            new: Names of tensors that are not pretrained; norms with one of them go on learning.
        """
        self._has_frozen_batchnorm = True
        self._new_norms = frozenset(name.rpartition(".")[0] for name in new)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As torch's, but what was frozen stays frozen."""
        super().train(mode)
        if self._has_frozen_batchnorm:
            for name, module in self.named_modules():
                if isinstance(module, nn.BatchNorm2d) and name not in self._new_norms:
                    module.eval()
        return self


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that learns statistics where there are any, and uses the running ones where there are none.

    Torch refuses to train on one value per channel, which is what the branch of bin 1 sees in a batch of one image.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class FrozenBatchNorm2d(BatchNorm2d):
    """Batch norm as a constant: no gradient, and always in evaluation mode."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features, eps, momentum)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


def require_gradients(module: nn.Module, required: bool = True) -> None:
    """As torch's ``requires_grad_`` on ``module``, but the parameters of :class:`FrozenBatchNorm2d` never get one."""
    norms = (part for part in module.modules() if isinstance(part, FrozenBatchNorm2d))
    constant = {id(parameter) for norm in norms for parameter in norm.parameters()}
    for parameter in module.parameters():
        parameter.requires_grad_(required and id(parameter) not in constant)


def make_norm(kind: Norm, channels: int, momentum: float = 0.1) -> nn.Module:
    """A norm over ``channels``."""
    if kind == "group":
        return nn.GroupNorm(channels // GROUP_CHANNELS, channels)
    return (FrozenBatchNorm2d if kind == "frozen" else BatchNorm2d)(channels, momentum=momentum)


def make_dropout(kind: DropoutKind, share: float) -> nn.Module:
    """Dropout of whole channels or of single elements."""
    return nn.Dropout2d(share) if kind == "channel" else nn.Dropout(share)


class ConvNormReLU(nn.Sequential):
    """Convolution with "same" padding, norm, ReLU; a bias only where there is no norm.

    Args:
        in_channels: C of the input.
        channels: C of the output.
        kernel_size: Odd.
        norm: Kind of norm; None for none.
        momentum: Of a batch norm.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel_size: int = 1, norm: Norm | None = "group", momentum: float = 0.1
    ) -> None:
        padding = kernel_size // 2
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, kernel_size, padding=padding, bias=norm is None)]
        if norm is not None:
            layers.append(make_norm(norm, channels, momentum))
        super().__init__(*layers, nn.ReLU(inplace=True))
