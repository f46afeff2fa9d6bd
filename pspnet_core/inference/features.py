"""Features of one image for the live head: computed once, kept in half precision. Only the network needs torch.

Two kinds: outputs of the ImageNet network at strides 2 to 16, never of a fine-tuned one, so that what was learned on an
earlier image stays valid; and intensity, edges and texture at several scales, the small scales at the cells of the
grid, the large ones where they still can be told apart. A block keeps its own stride: what is linear in the features
can be computed there and interpolated afterwards, which is far cheaper and the same.

Legend: H, W image size; cells: the grid of the answer; h, w size of a block; C features of a block; D of all blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.types import ClassMap, Rect, RgbImage

if TYPE_CHECKING:
    from torch import Tensor

    from pspnet_core.imaging.source import ImageSource

FEATURE_SPEC = "lite0:2,4,8,16,16+bank:1,2,4,8,16/2+statistics"
"""What the columns of the features mean; rows that were kept under another name are of no use."""

WORKING_PIXELS = 1_000_000
"""Larger images are reduced to this many pixels before anything is computed."""

_FINE_PIXELS = 300_000  # up to here a cell is one pixel of the working image, above two by two
_NETWORK, _MULTIPLE = "efficientnet_lite0", 32
_NETWORK_STAGES = {0: ("stride2", 2), 1: ("stride4", 4), 2: ("stride8", 8), 3: ("stride16", 16), 4: ("stride16b", 16)}
_BANKS = (("fine", 0, (1.0, 2.0)), ("middle", 4, (4.0,)), ("coarse", 8, (8.0, 16.0)))
_MIN_DEVIATION = 1e-4

Block = NDArray[np.float16]
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBlock:
    """Features of one origin.

    Attributes:
        name: What they are.
        is_learned: Whether a network has learned them.
        stride: s, in pixels of the working image; feature i stands at the coordinate ``s (i + 0.5)``.
        values: (C, h, w) float16, each feature of mean 0 and deviation 1 over the image; not to be written to.
        mean: (C,) float32, what it was before.
        deviation: (C,) float32, positive, what it was before.
    """

    name: str
    is_learned: bool
    stride: int
    values: Block
    mean: Rows
    deviation: Rows


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """All that a live head knows about an image.

    Attributes:
        height: H, of the image.
        width: W, of the image.
        cell_px: Side of a cell in pixels of the working image.
        blocks: See :class:`FeatureBlock`.
        guide: (cells, 3) float32 RGB, 0 to 1, where borders are looked for.
    """

    height: int
    width: int
    cell_px: int
    blocks: tuple[FeatureBlock, ...]
    guide: NDArray[np.float32]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        rows, columns = self.guide.shape[:2]
        return int(rows), int(columns)

    @property
    def num_features(self) -> int:
        """D."""
        return sum(len(block.values) for block in self.blocks)

    @property
    def statistics(self) -> tuple[Rows, Rows]:
        """(D,) means and deviations of the features before they were normalised."""
        return np.concatenate([b.mean for b in self.blocks]), np.concatenate([b.deviation for b in self.blocks])

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return int(self.guide.nbytes + sum(block.values.nbytes for block in self.blocks))

    def rows(self, cells: NDArray[np.intp]) -> Rows:
        """(n, D) float32 features of cells, given by their numbers row by row."""
        row, column = np.divmod(cells, self.grid[1])
        parts = [_sampled(block, row, column, self.cell_px) for block in self.blocks]
        return np.concatenate(parts, axis=1)

    def cells_in(self, rect: Rect) -> Rect:
        """The cells that a rectangle of the image touches, as a rectangle of the grid."""
        rows, columns = self.grid
        top, left = rect.y * rows // self.height, rect.x * columns // self.width
        bottom, right = -(-rect.bottom * rows // self.height), -(-rect.right * columns // self.width)
        return Rect(left, top, right - left, bottom - top).intersect(Rect(0, 0, columns, rows))

    def pixels_of(self, cells: Rect) -> Rect:
        """The pixels of the image that belong to a rectangle of cells; a pixel belongs to exactly one cell."""
        rows, columns = self.grid
        top, bottom = (-(-v * self.height // rows) for v in (cells.y, cells.bottom))
        left, right = (-(-v * self.width // columns) for v in (cells.x, cells.right))
        return Rect(left, top, right - left, bottom - top)

    def reduced(self, class_ids: ClassMap, cells: Rect) -> ClassMap:
        """One class id for each cell: that of its labelled pixels, 255 where there is none or more than one class.

        Args:
            class_ids: (h, w) uint8 of the pixels ``pixels_of(cells)``, 255 = unlabelled.
            cells: Rectangle of the grid.

        Returns:
            (cells.h, cells.w) uint8.
        """
        rows, columns = self.grid
        top = -(-np.arange(cells.y, cells.bottom) * self.height // rows)
        left = -(-np.arange(cells.x, cells.right) * self.width // columns)
        if len(top) == class_ids.shape[0] and len(left) == class_ids.shape[1]:
            return class_ids
        top, left = top - top[0], left - left[0]
        lowest = np.minimum.reduceat(np.minimum.reduceat(class_ids, top, axis=0), left, axis=1)
        shifted = class_ids + np.uint8(1)  # 255 becomes 0
        highest = np.maximum.reduceat(np.maximum.reduceat(shifted, top, axis=0), left, axis=1) - np.uint8(1)
        reduced: ClassMap = np.where(lowest == highest, lowest, np.uint8(255))
        return reduced


class FeatureExtractor:
    """The ImageNet network, loaded once, on the CPU: for one image at a time it is fast enough everywhere.

    Args:
        weights: File to be read instead of the package's.

    Raises:
        CheckpointError: The weights are missing or damaged.
    """

    def __init__(self, weights: Path | None = None) -> None:
        import torch

        from pspnet_core.models.backbones.efficientnet_lite import EfficientNetLite
        from pspnet_core.models.weights import imagenet_preprocessing, load_imagenet

        self._network = EfficientNetLite(_NETWORK, output_stride=32)
        load_imagenet(self._network, _NETWORK, weights)
        self._network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._preprocessing = imagenet_preprocessing(_NETWORK)

    def features(self, image: RgbImage | ImageSource) -> ImageFeatures:
        """As :meth:`steps`, at once."""
        for found in self.steps(image):
            if found is not None:
                return found
        raise AssertionError("the steps end with the features")

    def steps(self, image: RgbImage | ImageSource) -> Iterator[ImageFeatures | None]:
        """Yields after each step and, last, the features.

        Args:
            image: (H, W, 3) uint8 RGB, or a source, which is read at the level that is just large enough.

        Raises:
            ImageReadError: The source cannot be read.
            ValueError: Not an image of that shape.
        """
        if isinstance(image, np.ndarray) and (image.ndim != 3 or image.shape[2] != 3 or not image.size):
            raise ValueError(f"image must be (H, W, 3) uint8, found {image.shape} {image.dtype}")
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
        picture = working_image(image)
        cell_px = 1 if picture.shape[0] * picture.shape[1] <= _FINE_PIXELS else 2
        yield None
        blocks = []
        for name, stride, sigmas in _BANKS:
            blocks.append(_normalised(name, False, stride or cell_px, _bank(picture, stride, cell_px, sigmas)))
            yield None
        for block in self._network_blocks(picture):
            if block is not None:
                blocks.append(block)
            yield None
        guide = _averaged(picture.astype(np.float32) / np.float32(255), cell_px)
        yield ImageFeatures(height, width, cell_px, tuple(blocks), guide)

    def _network_blocks(self, picture: RgbImage) -> Iterator[FeatureBlock | None]:
        """Means of what the picture and its mirror image give: less noise, and no shift to one side."""
        height, width = picture.shape[:2]
        x: Any = picture
        mirrored: Any = np.pad(picture, ((0, 0), (0, -width % _MULTIPLE), (0, 0)), mode="edge")[:, ::-1].copy()
        for number in range(-1, max(_NETWORK_STAGES) + 1):
            x = self._stem(x) if number < 0 else self._stage(number, x)
            yield None
            mirrored = self._stem(mirrored) if number < 0 else self._stage(number, mirrored)
            if number not in _NETWORK_STAGES:
                yield None
                continue
            name, stride = _NETWORK_STAGES[number]
            values = (x[0].numpy() + mirrored[0].numpy()[..., ::-1]) / np.float32(2)
            yield _normalised(name, True, stride, values[:, : -(-height // stride), : -(-width // stride)])

    # A generator must not yield inside of inference mode, which is a state of the thread.
    def _stem(self, picture: RgbImage) -> Tensor:
        import torch
        from torch.nn import functional as F

        from pspnet_core.models.backbones.depthwise import STRIDE2_PADDING

        with torch.inference_mode():
            x = self._preprocessing(picture)
            x = F.pad(x, (0, -picture.shape[1] % _MULTIPLE, 0, -picture.shape[0] % _MULTIPLE), mode="replicate")
            x = x.contiguous(memory_format=torch.channels_last)
            return F.relu6(self._network.stem(F.pad(x, STRIDE2_PADDING[3])))

    def _stage(self, number: int, x: Tensor) -> Tensor:
        import torch

        with torch.inference_mode():
            out: Tensor = self._network.stages[number](x)
            return out


def working_image(image: RgbImage | ImageSource) -> RgbImage:
    """The image with at most :data:`WORKING_PIXELS` pixels: itself, or reduced by averaging."""
    if not isinstance(image, np.ndarray):
        level = 0
        while level + 1 < image.num_levels and (image.width * image.height) >> (2 * level + 2) >= WORKING_PIXELS:
            level += 1
        whole = Rect(0, 0, -(-image.width >> level), -(-image.height >> level))
        image = image.read(whole, level)
    height, width = image.shape[:2]
    factor = (WORKING_PIXELS / (height * width)) ** 0.5
    if factor >= 1:
        return np.ascontiguousarray(image)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _bank(picture: RgbImage, stride: int, cell_px: int, sigmas: tuple[float, ...]) -> Rows:
    """(C, h, w): blurred colours, gradients and eigenvalues of second derivatives at several scales."""
    x: Rows = picture.astype(np.float32) / np.float32(255)
    before = 1.0
    if stride:
        x, before = _averaged(x, stride), float(stride)
    found = []
    for sigma in sigmas:
        rest = sigma**2 - (before**2 - 1) / 12  # averaging has blurred already
        blurred = cv2.GaussianBlur(x, (0, 0), rest**0.5 / before, borderType=cv2.BORDER_REFLECT)
        found += [blurred, *_derivatives(blurred)]
    return np.concatenate([_averaged(part, 1 if stride else cell_px).transpose(2, 0, 1) for part in found])


def _derivatives(blurred: Rows) -> tuple[Rows, Rows, Rows]:
    def sobel(x: Rows, dx: int, dy: int) -> Rows:
        return np.asarray(cv2.Sobel(x, cv2.CV_32F, dx, dy, ksize=3, borderType=cv2.BORDER_REFLECT))

    x, y = sobel(blurred, 1, 0), sobel(blurred, 0, 1)
    xx, yy, xy = sobel(x, 1, 0), sobel(y, 0, 1), sobel(x, 0, 1)
    middle = (xx + yy) / 2
    spread = cv2.magnitude((xx - yy) / 2, xy)
    return np.asarray(cv2.magnitude(x, y)), middle + spread, middle - spread


def _averaged(x: Rows, factor: int) -> Rows:
    """Means of ``factor`` x ``factor`` pixels; the last ones of an uneven length are repeated."""
    if factor == 1:
        return x
    height, width = x.shape[:2]
    more = ((0, -height % factor), (0, -width % factor), (0, 0))[: x.ndim]
    x = np.pad(x, more, mode="edge")
    size = x.shape[1] // factor, x.shape[0] // factor
    return np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA))


def _normalised(name: str, is_learned: bool, stride: int, values: NDArray[np.float32]) -> FeatureBlock:
    kept = np.empty(values.shape, np.float16)
    means, deviations = np.empty(len(values), np.float32), np.empty(len(values), np.float32)
    for channel, (plane, target) in enumerate(zip(values, kept, strict=True)):
        mean, deviation = cv2.meanStdDev(np.ascontiguousarray(plane))
        means[channel], deviations[channel] = mean[0, 0], deviation[0, 0] + _MIN_DEVIATION
        target[:] = (plane - means[channel]) * (1 / deviations[channel])
    return FeatureBlock(name, is_learned, stride, kept, means, deviations)


def _sampled(block: FeatureBlock, row: NDArray[np.intp], column: NDArray[np.intp], cell_px: int) -> Rows:
    """(n, C) values at cells."""
    values = block.values
    if block.stride == cell_px:
        return values[:, row, column].T.astype(np.float32)
    height, width = values.shape[1:]
    top, bottom, down = _neighbours(row, height, block.stride, cell_px)
    left, right, along = _neighbours(column, width, block.stride, cell_px)
    upper = values[:, top, left] * (1 - along) + values[:, top, right] * along
    lower = values[:, bottom, left] * (1 - along) + values[:, bottom, right] * along
    return np.ascontiguousarray((upper * (1 - down) + lower * down).T, np.float32)


def _neighbours(
    cell: NDArray[np.intp], length: int, stride: int, cell_px: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    at = np.clip((cell + 0.5) * cell_px / stride - 0.5, 0, length - 1)
    first = np.minimum(at.astype(np.intp), max(length - 2, 0))
    return first, np.minimum(first + 1, length - 1), (at - first).astype(np.float32)
