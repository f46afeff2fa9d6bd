"""Batch norms folded into the convolutions before them, in a copy that only predicts.

Legend: N batch, C channels, h, w feature size.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pspnet_core.models.backbones.resnet import BasicBlock, Bottleneck, _Block

_BAND_BYTES = 8_000_000


def folded(module: nn.Module) -> nn.Module:
    """A copy of ``module`` in evaluation mode without batch norms after convolutions; it gives the same results.

    Differences are those of rounding (relative 1e-6). Blocks of ResNets also add in place and in bands of rows.
    """
    result = copy.deepcopy(module).eval().requires_grad_(False)
    for part in list(result.modules()):
        if isinstance(part, nn.Sequential):
            _fold_sequence(part)
        elif isinstance(part, BasicBlock | Bottleneck):
            for number in range(1, 4):
                _fold_pair(part, f"conv{number}", f"bn{number}")
    for part in list(result.modules()):
        for name, child in part.named_children():
            if isinstance(child, BasicBlock | Bottleneck):
                setattr(part, name, LeanBlock(child))
    return result


def _fold_sequence(sequence: nn.Sequential) -> None:
    for first, second in pairwise(list(sequence._modules)):
        _fold_pair(sequence, first, second)


def _fold_pair(owner: nn.Module, convolution: str, norm: str) -> None:
    first, second = owner._modules.get(convolution), owner._modules.get(norm)
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
        owner._modules[convolution] = fuse_conv_bn_eval(first, second)
        owner._modules[norm] = nn.Identity()


@torch.no_grad()
def rounded(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights of a convolution, (O, C, y, x) float32, rounded to the values of a shorter type so that sums stay.

    What one weight loses by rounding is given to the next one of the same filter. Inputs after a ReLU have means well
    above zero, so that errors which do not cancel shift whole channels: rounding each weight by itself changed 0.44 %
    of the labels of street photos, this 0.33 %.

    Returns:
        The same shape, float32, each value one of ``dtype``.
    """
    lines = weight.flatten(1).t().contiguous().cpu()  # (C y x, O)
    result, carry = torch.empty_like(lines), torch.zeros_like(lines[0])
    for number, line in enumerate(lines):
        exact = line + carry
        result[number] = exact.to(dtype)
        carry = exact - result[number]
    return result.t().reshape(weight.shape).to(weight.device)


def pool_cells(x: Tensor, bins: tuple[int, ...]) -> list[Tensor]:
    """``F.adaptive_avg_pool2d(x, b)`` for several b at once, without a copy of ``x``; sums are float32.

    Args:
        x: (N, C, h, w) of any type and layout.
        bins: Each b.

    Returns:
        (N, C, b, b) float32 for each b.
    """
    cells = [[_cells(length, side) for length in x.shape[2:]] for side in bins]
    edges = [sorted({edge for pair in cells for cell in pair[axis] for edge in cell}) for axis in (0, 1)]
    lines = []
    for start, stop in pairwise(edges[0]):
        line = x.new_zeros(*x.shape[:2], x.shape[3], dtype=torch.float32)
        for first, end in bands(stop - start, x[:, :, 0].numel() * 4):
            line += x[:, :, start + first : start + end].float().sum(dim=2)
        lines.append(torch.stack([line[..., a:b].sum(dim=2) for a, b in pairwise(edges[1])], dim=2))
    sums = torch.stack(lines, dim=2)  # (N, C, parts of rows, parts of columns)
    results = []
    for rows, columns in cells:
        down, across = (
            torch.tensor([[float(a <= edge < b) for edge in known[:-1]] for a, b in line], device=x.device)
            for line, known in zip((rows, columns), edges, strict=True)
        )
        areas = torch.tensor([[float((b - a) * (d - c)) for c, d in columns] for a, b in rows], device=x.device)
        results.append(down @ sums @ across.t() / areas)
    return results


def _cells(length: int, side: int) -> list[tuple[int, int]]:
    """First position and end of each cell, which may overlap. Source: PyTorch's ``AdaptiveAveragePooling.cpp``."""
    return [(i * length // side, -(-(i + 1) * length // side)) for i in range(side)]


class LeanBlock(nn.Module):
    """A block of a ResNet, batch norms folded, that holds one input and one output and little besides.

    What follows its first convolution is computed in bands of rows and added onto the shortcut, which is the input
    itself where sizes agree: **the input is lost**.

    Args:
        block: Its convolutions are taken over.
    """

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        self.conv1 = block.conv1
        self.middle = block.conv2 if isinstance(block, Bottleneck) else None
        self.last = block.conv3 if isinstance(block, Bottleneck) else block.conv2
        self.pool_stride, self.downsample = block.pool_stride, block.downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""
        y = F.relu_(self.conv1(x))
        x = _Block.shortcut(self, x)  # type: ignore[arg-type]
        if is_traced():
            return F.relu(self.last(y if self.middle is None else F.relu(self.middle(y))) + x)
        middle = self.middle
        if middle is not None and middle.stride[0] > 1:
            y, middle = F.relu_(middle(y)), None
        for start, stop in bands(x.shape[2], x[:, :, 0].numel() * x.element_size()):
            if middle is None:
                part = convolve_rows(self.last, y, start, stop)
            else:
                part = self.last(F.relu_(convolve_rows(middle, y, start, stop)))
            F.relu_(x[:, :, start:stop].add_(part))
        return x


def is_traced() -> bool:
    """Whether the network is being written down for another program, which takes care of memory itself."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def bands(height: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """First row and end of the bands of about 8 MB that make up ``height`` rows."""
    rows = max(4, _BAND_BYTES // row_bytes)
    return ((start, min(start + rows, height)) for start in range(0, height, rows))


def convolve_rows(convolution: nn.Conv2d, x: Tensor, start: int, stop: int) -> Tensor:
    """Rows ``start`` to ``stop`` of what a convolution of stride 1 makes of (N, C, h, w)."""
    assert convolution.stride[0] == 1
    padding, dilation, size = int(convolution.padding[0]), convolution.dilation[0], convolution.kernel_size[0]
    first, last = start - padding, stop - padding + dilation * (size - 1)
    rows = x[:, :, max(first, 0) : min(last, x.shape[2])]
    above, below = max(-first, 0), max(last - x.shape[2], 0)
    if above or below:
        rows = F.pad(rows, (0, 0, above, below))
    side = (0, int(convolution.padding[1]))
    return F.conv2d(rows, convolution.weight, convolution.bias, 1, side, convolution.dilation, convolution.groups)
