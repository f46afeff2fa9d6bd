"""A network as a graph whose batch, height and width are open: what both formats of export begin with.

Legend: N batch, C channels, K classes, H, W size.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as shape_config
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from pspnet_core.models.pspnet import PSPNet

INPUT, OUTPUT = "image", "logits"

# No size of it may be one that `pspnet_core.export.checks` looks at.
EXAMPLE = (2, 97, 130)  # N, H, W


class Exportable(nn.Module):
    """A copy of a network for export: on the CPU, in evaluation mode, without the heads that only training needs.

    Args:
        model: It is left as it is.
    """

    def __init__(self, model: PSPNet) -> None:
        super().__init__()
        net = copy.deepcopy(model).to("cpu", torch.float32).to(memory_format=torch.contiguous_format)
        net.aux_heads = nn.ModuleList()
        self.net = net.eval().requires_grad_(False)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) float32 RGB, normalised -> (N, K, H, W) float32 logits."""
        out: Tensor = self.net(image)["out"]
        return out


def capture(network: Exportable, for_onnx: bool) -> ExportedProgram:
    """The graph of ``network`` for any N, H and W of 1 or more.

    Args:
        network: What is captured.
        for_onnx: Keep bilinear interpolation as it is, which ONNX has an operator for. Otherwise what would make
            ``torch.export`` rule out small sizes is written in another way.
    """
    free = torch.export.Dim.DYNAMIC
    mode = _Traceable() if for_onnx else _TraceableAtAllSizes()
    with all_sizes(), torch.no_grad(), mode:
        example = torch.zeros(EXAMPLE[0], 3, *EXAMPLE[1:])
        program = torch.export.export(network, (example,), dynamic_shapes=({0: free, 2: free, 3: free},), strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # files and lines on this computer
    return program


@contextmanager
def all_sizes() -> Iterator[None]:
    """Let torch reason about sizes without singling out 0 and 1, where it can (torch >= 2.8), and without warnings."""
    can = hasattr(shape_config, "backed_size_oblivious")
    with shape_config.patch(backed_size_oblivious=True) if can else nullcontext(), warnings.catch_warnings():  # type: ignore[attr-defined]
        warnings.simplefilter("ignore")
        yield


class _Traceable(TorchFunctionMode):
    """Computes without writing in place: following writes takes the tracer twice as long."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        values = dict(kwargs or {})
        if values.get("inplace"):
            values["inplace"] = False
        return func(*args, **values)


class _TraceableAtAllSizes(_Traceable):
    """Also avoids what asks whether a size is 1: such a question becomes a condition on the sizes of the graph."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        values = dict(kwargs or {})
        if func is F.interpolate and values.get("align_corners"):
            return interpolate_by_matrices(args[0], values["size"])
        if func is torch.conv2d:  # of other layouts it asks more
            args = (args[0].contiguous(), *args[1:])
        return super().__torch_function__(func, types, args, values)


def interpolate_by_matrices(x: Tensor, size: tuple[int, int]) -> Tensor:
    """``F.interpolate(x, size, mode="bilinear", align_corners=True)`` as two matrix products.

    Args:
        x: (N, C, h, w) float.
        size: (H, W).

    Returns:
        (N, C, H, W).
    """
    n, c, height, width = x.shape
    rows, columns = _weights(height, size[0]), _weights(width, size[1])  # (H, h), (W, w)
    wide = torch.mm(x.reshape(n * c * height, width), columns.T).view(n * c, height, size[1])
    return torch.bmm(rows.expand(n * c, size[0], height), wide).view(n, c, size[0], size[1])


def _weights(length: int, new_length: int) -> Tensor:
    """(new_length, length): how much of each old place goes into each new one."""
    distance: Any = (length - 1) / torch.sym_max(new_length - 1, 1)
    places = torch.mul(torch.arange(new_length)[:, None], distance)
    return (1 - (places - torch.arange(length)).abs()).clamp(min=0)
