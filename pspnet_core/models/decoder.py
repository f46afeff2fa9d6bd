"""From logits to input size.

Legend: N batch, K classes, h, w logit size, s stride.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as shape_config
from torch.nn import functional as F


def bilinear(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """(N, C, h, w) -> (N, C, *size); half-precision input is interpolated in float32, which argmax needs."""
    if x.dtype in (torch.bfloat16, torch.float16):
        x = x.float()
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size): what is left and above."""
    # `pspnet_core.export` lets torch follow sizes without asking whether a slice is the whole.
    if not torch.compiler.is_compiling() or getattr(shape_config, "backed_size_oblivious", False):
        return x[..., : size[0], : size[1]]
    # Elsewhere it asks, and an exported graph would accept only sizes that need a crop as the example did. What is
    # gathered always has the same layout; it takes other programs three times as long for 150 classes.
    rows, columns = (torch.arange(length, device=x.device) for length in size)
    return x.index_select(-2, rows).index_select(-1, columns)


class Deconvolution(nn.Module):
    """A transposed convolution per class that starts as bilinear interpolation (``align_corners=False``).

    Source: Long et al., "Fully Convolutional Networks" (2015), section 3.3.

    Args:
        num_classes: K.
        stride: s, even.
    """

    def __init__(self, num_classes: int, stride: int) -> None:
        super().__init__()
        assert stride % 2 == 0, stride
        self.stride = stride
        self.weight = nn.Parameter(bilinear_kernel(stride).expand(num_classes, 1, -1, -1).clone())

    def forward(self, logits: Tensor) -> Tensor:
        """(N, K, h, w) -> (N, K, s h, s w). The border is continued, as interpolation does.

        Half-precision logits, and autocast, are computed in float32, as :func:`bilinear` does.
        """
        device = logits.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._upsample(logits.float())
        return self._upsample(logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits)

    def _upsample(self, logits: Tensor) -> Tensor:
        s = self.stride
        padded, weight = F.pad(logits, (1, 1, 1, 1), mode="replicate"), self.weight.to(logits.dtype)
        full = F.conv_transpose2d(padded, weight, stride=s, padding=s // 2, groups=logits.shape[1])
        return full[..., s:-s, s:-s]


def bilinear_kernel(stride: int) -> Tensor:
    """(2s, 2s) float32 kernel with which a transposed convolution of stride s interpolates bilinearly."""
    line = 1 - ((torch.arange(2 * stride) + 0.5) / stride - 1).abs()
    return torch.outer(line, line)
