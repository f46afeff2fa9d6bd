"""Depthwise convolution whose backward pass is fast on CPUs.

oneDNN has fast kernels for the gradients of 3x3 depthwise convolutions at stride 1, but not for weights of 5x5
kernels (4 to 30 times slower than the forward pass) nor for inputs at stride 2 in bfloat16. Both gradients are
rebuilt here from the fast ones, without changing the result beyond rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# TensorFlow's "same" padding of stride-2 convolutions at even sizes, as a constant (left, right, top, bottom).
STRIDE2_PADDING = {3: (0, 1, 0, 1), 5: (1, 2, 1, 2)}


class DepthwiseConv2d(nn.Conv2d):
    """One filter per channel, "same" padding in the constant form of :data:`STRIDE2_PADDING` at stride 2.

    Args:
        channels: C.
        kernel_size: 3 or 5.
        stride: 1 or 2; at stride 2 height and width must be even.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__(channels, channels, kernel_size, stride, groups=channels)
        side = (kernel_size - 1) // 2
        self._pads = STRIDE2_PADDING[kernel_size] if stride == 2 else (side, side, side, side)

    def forward(self, x: Tensor, dilation: int = 1) -> Tensor:
        """(N, C, H, W) -> (N, C, H / stride, W / stride); a dilation other than 1 is for stride 1."""
        stride, size = self.stride[0], self.kernel_size[0]
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        if learns and dilation == 1 and x.device.type == "cpu" and (size == 5 or stride == 2):
            weight, bias = self.weight, self.bias
            assert bias is not None
            if torch.is_autocast_enabled("cpu"):
                dtype = torch.get_autocast_dtype("cpu")
                x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
            out: Tensor = _FastGradients.apply(F.pad(x, self._pads), weight, bias, stride)
            return out
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, self._pads[0] * dilation, dilation, self.groups)
        return F.conv2d(F.pad(x, self._pads), self.weight, self.bias, stride, 0, 1, self.groups)


class _FastGradients(torch.autograd.Function):
    """``conv2d(x, weight, bias, stride, groups=C)`` without padding, with the gradients described above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, 0, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = gradients
        x, weight = ctx.saved_tensors
        stride = ctx.stride
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(x, weight, grad, stride)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, weight, grad, stride)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum(dim=(0, 2, 3))
        return grad_x, grad_weight, grad_bias, None


def _input_gradient(x: Tensor, weight: Tensor, grad: Tensor, stride: int) -> Tensor:
    dtype = torch.float32 if stride == 2 else x.dtype  # strided bfloat16 has no fast kernel
    return _gradients(grad.to(dtype), x.to(dtype), weight.to(dtype), stride, (True, False))[0].to(x.dtype)


def _weight_gradient(x: Tensor, weight: Tensor, grad: Tensor, stride: int) -> Tensor:
    if weight.shape[-1] == 3:
        return _gradients(grad, x, weight, stride, (False, True))[1]
    # A 5x5 kernel is four overlapping 3x3 kernels; where they overlap they agree.
    result = torch.empty_like(weight)
    kernel = weight[:, :, :3, :3]  # only its shape and type matter
    height, width = ((n - 1) * stride + 3 for n in grad.shape[2:])
    for top in (0, 2):
        for left in (0, 2):
            part = x[:, :, top : top + height, left : left + width]
            gradient = _gradients(grad, part, kernel, stride, (False, True))[1]
            result[:, :, top : top + 3, left : left + 3] = gradient
    return result


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Gradients for input and weight of an unpadded depthwise convolution; those not ``wanted`` are undefined."""
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], weight.shape[0], [*wanted, False]
    )
    return grad_x, grad_weight
