"""Networks as two publishers compute them whose code cannot be installed here, with their names of modules.

Written from what their source says, apart from the code under test. Heads are narrow: widths are read off the tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = (3, 4, 6, 3)


class _Unit(nn.Module):
    """Convolution and norm as ``<name>.0`` and ``.1``; with ReLU where the name begins with cbr."""

    def __init__(self, name: str, c_in: int, c_out: int, k: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, k, stride, padding=k // 2 * dilation, dilation=dilation, bias=False)
        self.name = name
        self.add_module(name, nn.Sequential(conv, nn.BatchNorm2d(c_out)))

    def forward(self, x: Tensor) -> Tensor:
        y = getattr(self, self.name)(x)
        return F.relu(y) if self.name == "cbr_unit" else y


class _MeetpsBlock(nn.Module):
    def __init__(self, c_in: int, c: int, stride: int, dilation: int, first: bool, at: str) -> None:
        super().__init__()
        one, three = (stride, 1) if at == "1x1" else (1, stride)
        self.cbr1 = _Unit("cbr_unit", c_in, c, 1, one)
        self.cbr2 = _Unit("cbr_unit", c, c, 3, three, dilation)
        self.cb3 = _Unit("cb_unit", c, 4 * c, 1)
        if first:
            self.cb4 = _Unit("cb_unit", c_in, 4 * c, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.cb3(self.cbr2(self.cbr1(x)))
        return F.relu(y + (self.cb4(x) if hasattr(self, "cb4") else x))


class Meetps(nn.Module):
    """meetps/pytorch-semseg: the paper's Caffe network. Input: (N, 3, H, W), blue first."""

    def __init__(self, num_classes: int, at: str = "3x3", width: int = 16) -> None:
        super().__init__()
        self.convbnrelu1_1 = _Unit("cbr_unit", 3, 64, 3, 2)
        self.convbnrelu1_2 = _Unit("cbr_unit", 64, 64, 3)
        self.convbnrelu1_3 = _Unit("cbr_unit", 64, 128, 3)
        c_in = 128
        for stage, (count, stride, dilation) in enumerate(zip(BLOCKS, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
            c = 64 << stage
            blocks = [
                _MeetpsBlock(c_in if b == 0 else 4 * c, c, stride if b == 0 else 1, dilation, b == 0, at)
                for b in range(count)
            ]
            layers = nn.Module()
            layers.layers = nn.Sequential(*blocks)
            self.add_module(f"res_block{stage + 2}", layers)
            c_in = 4 * c
        self.pyramid_pooling = nn.Module()
        self.pyramid_pooling.path_module_list = nn.ModuleList(_Unit("cbr_unit", 2048, width, 1) for _ in range(4))
        self.cbr_final = _Unit("cbr_unit", 2048 + 4 * width, width, 3)
        self.classification = nn.Conv2d(width, num_classes, 1)
        self.convbnrelu4_aux = _Unit("cbr_unit", 1024, width, 3)
        self.aux_cls = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.convbnrelu1_3(self.convbnrelu1_2(self.convbnrelu1_1(image)))
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(2, 6):
            x = getattr(self, f"res_block{stage}").layers(x)
        size = x.shape[2:]
        joined = [x]
        for side, path in zip((6, 3, 2, 1), self.pyramid_pooling.path_module_list, strict=True):
            kernel = size[0] // side, size[1] // side  # fixed kernels: right where the grid divides the features
            joined.append(F.interpolate(path(F.avg_pool2d(x, kernel)), size, mode="bilinear", align_corners=True))
        y = self.classification(self.cbr_final(torch.cat(joined, 1)))
        return F.interpolate(y, image.shape[2:], mode="bilinear", align_corners=True)


class _PaddleUnit(nn.Module):
    """Paddle's ``ConvBNLayer`` and ``ConvBNReLU``; the latter has a bias before the norm."""

    def __init__(
        self, c_in: int, c_out: int, k: int, stride: int = 1, dilation: int = 1, relu: bool = True, bias: bool = False
    ) -> None:
        super().__init__()
        self._conv = nn.Conv2d(c_in, c_out, k, stride, padding=k // 2 * dilation, dilation=dilation, bias=bias)
        self._batch_norm = nn.BatchNorm2d(c_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = self._batch_norm(self._conv(x))
        return F.relu(y) if self.relu else y


class _PaddleBlock(nn.Module):
    def __init__(self, c_in: int, c: int, stride: int, dilation: int, first: bool) -> None:
        super().__init__()
        self.conv0 = _PaddleUnit(c_in, c, 1)
        self.conv1 = _PaddleUnit(c, c, 3, stride, dilation)
        self.conv2 = _PaddleUnit(c, 4 * c, 1, relu=False)
        self.stride = stride
        if first:
            self.short = _PaddleUnit(c_in, 4 * c, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y, short = self.conv2(self.conv1(self.conv0(x))), x
        if hasattr(self, "short"):
            short = self.short(F.avg_pool2d(x, 2, 2, ceil_mode=True) if self.stride == 2 else x)
        return F.relu(y + short)


class Paddle(nn.Module):
    """PaddlePaddle/PaddleSeg: PSPNet on ResNet50_vd."""

    def __init__(self, num_classes: int, width: int = 16, out: int = 24) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.conv1_1 = _PaddleUnit(3, 32, 3, 2)
        self.backbone.conv1_2 = _PaddleUnit(32, 32, 3)
        self.backbone.conv1_3 = _PaddleUnit(32, 64, 3)
        c_in = 64
        for stage, (count, stride, dilation) in enumerate(zip(BLOCKS, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
            for b in range(count):
                block = _PaddleBlock(c_in, 64 << stage, stride if b == 0 else 1, dilation, b == 0)
                self.backbone.add_module(f"bb_{stage}_{b}", block)
                c_in = 256 << stage
        self.head = nn.Module()
        self.head.psp_module = nn.Module()
        self.head.psp_module.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), _PaddleUnit(2048, width, 1, bias=True)) for side in (1, 2, 3, 6)
        )
        self.head.psp_module.conv_bn_relu2 = _PaddleUnit(2048 + 4 * width, out, 3, bias=True)
        self.head.conv = nn.Conv2d(out, num_classes, 1)
        self.head.auxlayer = nn.Module()
        self.head.auxlayer.conv_bn_relu = _PaddleUnit(1024, width, 3, bias=True)
        self.head.auxlayer.conv = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        b, psp = self.backbone, self.head.psp_module
        x = F.max_pool2d(b.conv1_3(b.conv1_2(b.conv1_1(image))), 3, 2, 1)
        for stage, count in enumerate(BLOCKS):
            for number in range(count):
                x = getattr(b, f"bb_{stage}_{number}")(x)
        pooled = [F.interpolate(s(x), x.shape[2:], mode="bilinear", align_corners=False) for s in psp.stages]
        y = self.head.conv(psp.conv_bn_relu2(torch.cat([x] + pooled[::-1], 1)))
        return F.interpolate(y, image.shape[2:], mode="bilinear", align_corners=False)


def paddle_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of :class:`Paddle` as Paddle spells it: it keeps no counters and has other names of statistics."""
    names = {"running_mean": "_mean", "running_var": "_variance"}
    result = {}
    for key, tensor in tensors.items():
        module, _, parameter = key.rpartition(".")
        if parameter != "num_batches_tracked":
            result[f"{module}.{names.get(parameter, parameter)}"] = tensor
    return result
