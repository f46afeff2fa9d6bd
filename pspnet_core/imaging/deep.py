"""The 16-bit values behind an image, for showing a part of their range: display only.

What is trained on, predicted on and exported is what :func:`~pspnet_core.imaging.read.read_image` gives: the high
byte of each value. A window over the full range shows exactly that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import DecoderError, decoder, decoding
from pspnet_core.imaging.opening import check_memory
from pspnet_core.imaging.read import oriented, read_info, tiff_values
from pspnet_core.imaging.rgb import SIXTEEN_BIT_GREY, bands_to_rgb
from pspnet_core.types import Rect, RgbImage

MAX_VALUE = 65535
_SAMPLE_VALUES = 1_000_000
_CLIPPED_PERCENT = 0.5
_TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of the range of values is shown from black to white.

    Attributes:
        low: Up to this value all is black; 0 to 65,534.
        high: From this value on all is white; above ``low``, at most 65,535.
    """

    low: int = 0
    high: int = MAX_VALUE

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= MAX_VALUE:
            raise ValueError(f"a window needs 0 <= low < high <= {MAX_VALUE}, got {self.low} to {self.high}")

    @staticmethod
    def between(low: float, high: float) -> Window:
        """The nearest possible window."""
        first = min(max(0, round(low)), MAX_VALUE - 1)
        return Window(first, min(max(first + 1, round(high)), MAX_VALUE))

    @property
    def is_full(self) -> bool:
        """Whether it shows the whole range, as the network sees it."""
        return self == Window()

    def table(self) -> NDArray[np.uint8]:
        """(65536,) uint8: the shown value of each value."""
        values = np.arange(MAX_VALUE + 1)
        shown = (values - self.low) * 256 // (self.high - self.low + 1)
        return np.clip(shown, 0, 255).astype(np.uint8)


class DeepImage:
    """An image of 16 bits per channel in memory.

    Args:
        values: (H, W) or (H, W, bands) uint16, displayed orientation; kept, not changed.
        has_alpha: Whether the last band is alpha.
        profile: ICC profile of the colours.
    """

    def __init__(self, values: NDArray[np.uint16], has_alpha: bool = False, profile: bytes | None = None) -> None:
        if values.ndim not in (2, 3) or values.dtype != np.uint16 or not values.size:
            raise ValueError(f"expected (H, W) or (H, W, bands) uint16, got {values.shape} {values.dtype}")
        self._values, self._profile = values, profile
        self._has_alpha = has_alpha and values.ndim == 3 and values.shape[2] in (2, 4)
        colors = values if values.ndim == 2 else values[:, :, : self._num_colors]
        step = max(1, int(np.sqrt(colors.size / _SAMPLE_VALUES)))
        self._sample = np.sort(colors[::step, ::step], axis=None)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self._values.shape[0]), int(self._values.shape[1])

    @property
    def _num_colors(self) -> int:
        bands = int(self._values.shape[2])
        return 3 if bands >= 3 else 1

    def read(self, rect: Rect, table: NDArray[np.uint8]) -> RgbImage:
        """The pixels of ``rect``, which lies in the image: (rect.h, rect.w, 3) uint8 RGB, owned by the caller.

        Args:
            rect: In pixels.
            table: Of a :class:`Window`.
        """
        return self._shown(self._values[rect.slices], table)

    def thinned(self, step: int, table: NDArray[np.uint8]) -> RgbImage:
        """Every ``step``-th pixel of every ``step``-th row, as :meth:`read` gives it."""
        return self._shown(self._values[::step, ::step], table)

    def auto_window(self) -> Window:
        """The window beyond which 0.5 % of the values lie at each end."""
        low, high = np.percentile(self._sample, (_CLIPPED_PERCENT, 100 - _CLIPPED_PERCENT))
        return Window.between(float(low), float(high))

    @property
    def max_value(self) -> int:
        """The largest value of a sample."""
        return int(self._sample[-1])

    def histogram(self, num_bins: int = 256, stop: int = MAX_VALUE + 1) -> NDArray[np.int64]:
        """(num_bins,) counts of a sample; the bins share the values from 0 to below ``stop`` evenly."""
        edges = np.linspace(0, stop, num_bins + 1)
        return np.diff(np.searchsorted(self._sample, edges)).astype(np.int64)

    def _shown(self, values: NDArray[np.uint16], table: NDArray[np.uint8]) -> RgbImage:
        shown = table[values]
        if self._has_alpha:
            shown[:, :, -1] = values[:, :, -1] >> 8
        return bands_to_rgb(shown, self._has_alpha, self._profile)


def read_deep(path: Path, page: int = 0) -> DeepImage:
    """The 16-bit values of an image.

    Args:
        path: A PNG or TIFF file, grey or colours, with or without alpha.
        page: Of a TIFF, from 0.

    Raises:
        ImageReadError: The file is missing, damaged, too large, has no 16 bits per channel, or is packed in a way in
            which only its high bytes can be read.
    """
    info = read_info(path, page)
    if info.bits != 16:
        raise ImageReadError(f"{path.name} has {info.bits} bits per channel.", f"{path}: 16 bits were expected.")
    check_memory(path, info.width, info.height)
    values, has_alpha, profile = _values(path, page, info.mode, info.orientation)
    if values.dtype != np.uint16 or values.shape[:2] != (info.height, info.width):
        raise _not_deep(path)
    return DeepImage(np.ascontiguousarray(values), has_alpha, profile)


def _values(path: Path, page: int, mode: str, orientation: int) -> tuple[NDArray[Any], bool, bytes | None]:
    is_tiff = path.suffix.lower() in _TIFF_SUFFIXES
    with decoding(path):
        if mode in SIXTEEN_BIT_GREY:
            with decoder(), Image.open(path) as image:
                image.seek(page)
                grey, profile = np.asarray(image).astype(np.uint16), image.info.get("icc_profile")
            return grey if is_tiff else oriented(grey, orientation), False, profile  # Pillow turns a TIFF itself
        if not is_tiff:
            return _by_cv(path, orientation)
        try:
            found = tiff_values(path, page)
            return found.values, found.has_alpha, found.profile
        except DecoderError:
            if page:
                raise _not_deep(path) from None
    return _by_cv(path, orientation)


def _by_cv(path: Path, orientation: int) -> tuple[NDArray[Any], bool, bytes | None]:
    """Colours by OpenCV, which alone among our decoders keeps the low bytes of a PNG's."""
    from pspnet_core.imaging.cv import cv2

    with decoding(path):
        data = np.frombuffer(path.read_bytes(), np.uint8)
        with decoder(), Image.open(path) as image:
            profile = image.info.get("icc_profile")
    try:
        bands = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _not_deep(path) from error
    if bands is None or bands.ndim != 3 or bands.shape[2] not in (3, 4):
        raise _not_deep(path)
    order = [2, 1, 0, 3][: bands.shape[2]]
    return oriented(bands[:, :, order], orientation), bands.shape[2] == 4, profile


def _not_deep(path: Path) -> ImageReadError:
    return ImageReadError(
        f"The 16-bit values of {path.name} cannot be read.",
        f"{path} is packed in a way of which only the high bytes can be decoded.",
        "Save it without compression or as PNG to choose which values are shown.",
    )
