"""The network as it predicts: the same numbers as :class:`PSPNet`, in less memory and time.

Batch norms are folded, auxiliary heads left out. The pooled branches are never brought to the size of the features, nor
concatenated with them (4,096 channels for a ResNet-50): the 3x3 convolution that fuses them is linear, so it is
computed on the pooled cells, and its results are interpolated.

Legend: N batch, C channels, K classes, O channels after fusion, H, W input size, h, w feature size, b side of a pooled
grid.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.inference.folding import bands, folded, is_traced, pool_cells, rounded
from pspnet_core.models.backbones.resnet import ResNet
from pspnet_core.models.pooling import pool_by_matrices
from pspnet_core.models.pspnet import PSPNet

_STEM_PX = 128  # rows of the image that go through a stem at once
_HALO_PX = 16  # rows above and below, of which a stem and max pooling see 7 at most


class InferenceNetwork(nn.Module):
    """From images to logits, for prediction only.

    Args:
        model: Is copied; what happens to it later does not matter.
    """

    def __init__(self, model: PSPNet) -> None:
        super().__init__()
        config = self.config = model.config
        self.backbone = folded(model.backbone)
        self.input_multiple = model.backbone.input_multiple
        self.bins = config.bins if config.context == "pyramid" else ()
        whole, *after = folded(model.fuse).children()  # convolution, norm or nothing, ReLU
        assert isinstance(whole, nn.Conv2d)
        self.after_fuse = nn.Sequential(*after)
        channels = model.backbone.channels[-1]
        self.fuse = nn.Conv2d(channels, whole.out_channels, 3, padding=1)
        self.fuse.weight = nn.Parameter(whole.weight[:, :channels].clone(), requires_grad=False)
        bias = whole.bias if whole.bias is not None else whole.weight.new_zeros(whole.out_channels)
        self.fuse.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        if self.bins:
            self.branches = nn.ModuleList(folded(branch) for branch in model.ppm.branches)
            branch_weights = torch.split(whole.weight[:, channels:], config.bin_channels, dim=1)
            self.branch_weights = nn.ParameterList(
                nn.Parameter(weight.clone(), requires_grad=False) for weight in branch_weights
            )
        self.has_skip = config.skip_channels > 0
        if self.has_skip:
            self.reduce, self.skip, self.refine = (folded(m) for m in (model.reduce, model.skip, model.refine))
        self.classifier = copy.deepcopy(model.classifier[1])
        self.eval().requires_grad_(False)

    def to_numerics(self, device: torch.device, dtype: torch.dtype, memory_format: torch.memory_format) -> None:
        """Move it, with all but the classifier in ``dtype``: logits that are rounded change the argmax."""
        if dtype != torch.float32:
            self.round_weights(dtype)
        self.to(device=device, dtype=dtype)
        self.to(memory_format=memory_format)
        self.classifier.float()

    def round_weights(self, dtype: torch.dtype) -> None:
        """Give all convolutions but the classifier weights that ``dtype`` can hold; see :func:`rounded`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.classifier:
                module.weight.copy_(rounded(module.weight, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), normalised -> (N, K, ceil(H / s), ceil(W / s)) float32 logits, as :meth:`PSPNet.logits`."""
        stride, (height, width) = self.config.logit_stride, x.shape[-2:]
        multiple = self.input_multiple
        if multiple > 1:
            x = F.pad(x, (0, -width % multiple, 0, -height % multiple))
        low, high = self._features(x)
        del x
        y = self._head(high, low)
        out = self._classify(y)
        if multiple > 1:
            out = out[..., : -(-height // stride), : -(-width // stride)]
        return out

    def _features(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Features of the first stage, where there is a skip, and of the last."""
        if not isinstance(self.backbone, ResNet):
            features = self.backbone(x)
            return (features.stage1 if self.has_skip else None), features.stage4
        low = None
        x = self._stem(self.backbone, x)
        for number in range(1, 5):
            for block in self.backbone.get_submodule(f"layer{number}").children():
                x = block(x)
            if number == 1 and self.has_skip:
                low = x
        return low, x

    def _stem(self, backbone: ResNet, x: Tensor) -> Tensor:
        """Stem and max pooling in bands of rows: at stride 2 they hold more than any later layer."""

        def run(rows: Tensor) -> Tensor:
            pooled: Tensor = F.max_pool2d(backbone.stem(rows), 3, 2, 1, ceil_mode=backbone._maxpool_ceil)
            return pooled

        height = x.shape[2]
        if is_traced() or height < 2 * _STEM_PX:
            return run(x)
        parts = []
        for start in range(0, height, _STEM_PX):
            stop = height if height - start < 2 * _STEM_PX else start + _STEM_PX
            above, below = min(_HALO_PX, start), min(_HALO_PX, height - stop)
            part = run(x[:, :, start - above : stop + below])[:, :, above // 4 :]
            parts.append(part if stop == height else part[:, :, : (stop - start) // 4])
            if stop == height:
                break
        return torch.cat(parts, dim=2)

    def _head(self, x: Tensor, low: Tensor | None) -> Tensor:
        context = self._context(x) if self.bins else None
        size = x.shape[-2], x.shape[-1]
        y = self.fuse(x)
        del x
        if context is not None:
            y = self._add_context(y, context, size)
        y = self.after_fuse(y)
        if low is not None:
            align = self.config.align_corners
            y = F.interpolate(self.reduce(y), size=low.shape[-2:], mode="bilinear", align_corners=align)
            y = self.refine(torch.cat([y, self.skip(low)], dim=1))
        out: Tensor = y
        return out

    def _classify(self, y: Tensor) -> Tensor:
        if is_traced():
            traced: Tensor = self.classifier(y.float())
            return traced
        out = torch.empty(y.shape[0], self.config.num_classes, *y.shape[2:], device=y.device)
        for start, stop in bands(y.shape[2], y[:, :, 0].numel() * 4):
            out[:, :, start:stop] = self.classifier(y[:, :, start:stop].float())
        return out

    def _context(self, x: Tensor) -> list[Tensor]:
        """The fusing convolution of each pooled branch, on its cells: (N, 3 b, 3 b, O) float32.

        Row 3 * tap + cell of the kernel's taps above, at and below.
        """
        results = []
        pooled = [pool_by_matrices(x, b) for b in self.bins] if is_traced() else pool_cells(x, self.bins)
        for side, cells, branch, weight in zip(self.bins, pooled, self.branches, self.branch_weights, strict=True):
            y = branch(cells.to(x.dtype)).float()  # (N, c, b, b)
            taps = torch.einsum("ncij,ocyx->nyixjo", y, weight.float())  # (N, 3, b, 3, b, O)
            results.append(taps.reshape(y.shape[0], 3 * side, 3 * side, -1))
        return results

    def _add_context(self, y: Tensor, context: list[Tensor], size: tuple[int, int]) -> Tensor:
        n, channels = y.shape[:2]
        height, width = size
        rows = [self._taps(side, height, y.device) for side in self.bins]  # (h, 3 b)
        columns = torch.cat([self._taps(side, width, y.device) for side in self.bins], dim=1).to(y.dtype)  # (w, B)
        # (h, 3 b) x (N, 3 b, 3 b, O) -> (N, h, 3 b, O), all branches: (N, h, B, O)
        lines = [torch.einsum("hr,nrco->nhco", row, taps) for row, taps in zip(rows, context, strict=True)]
        line = torch.cat(lines, dim=2).to(y.dtype)
        if is_traced():
            return y + torch.matmul(columns, line).permute(0, 3, 1, 2)
        if y.is_contiguous():
            left = line.permute(0, 3, 1, 2).reshape(n * channels, height, -1)
            flat = y.view(n * channels, height, width)
            flat.baddbmm_(left, columns.t().expand(n * channels, -1, -1))
            return y
        flat = y.permute(0, 2, 3, 1).contiguous().view(n * height, width, channels)
        flat.baddbmm_(columns.expand(n * height, -1, -1), line.reshape(n * height, -1, channels))
        return flat.view(n, height, width, channels).permute(0, 3, 1, 2)

    def _taps(self, side: int, length: int, device: torch.device) -> Tensor:
        """(length, 3 b): how much each cell counts at each position for the taps before, at and after it.

        Zero where a tap lies outside, as the padding of the convolution is.
        """
        cells = torch.eye(side, device=device)[None, :, :, None]
        align = self.config.align_corners
        at = F.interpolate(cells, size=(length, 1), mode="bilinear", align_corners=align)[0, :, :, 0].t()
        edge = at.new_zeros(1, side)
        return torch.cat([torch.cat([edge, at[:-1]]), at, torch.cat([at[1:], edge])], dim=1)
