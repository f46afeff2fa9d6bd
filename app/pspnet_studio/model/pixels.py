"""The picture of the open image as the window may look at it: it never decodes, it asks for what is missing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import ImageReadError, PspnetError
from pspnet_core.imaging.deep import DeepImage, Window
from pspnet_core.imaging.source import ArraySource, level_size
from pspnet_core.imaging.tiff_source import TiffSource
from pspnet_core.types import Rect, RgbImage
from pspnet_studio.jobs.blocks import BLOCK_PX, Block, BlockRequests, Key, block_rect, read_blocks
from pspnet_studio.jobs.opening import Source
from pspnet_studio.jobs.runner import JobHandle, JobRunner, Lane, Priority
from pspnet_studio.messages import tr

_BLOCKS_BYTES = 160 * 1024 * 1024
"""About 200 blocks: several windows full."""


class ImagePixels(QObject):
    """The pixels of one image: in memory, or read by pieces, or still on their way.

    Args:
        width: In pixels.
        height: In pixels.
        preview: (h, w, 3) uint8 RGB of any size: the whole image, reduced.
        source: The image itself; None while it is being decoded.
        runner: Reads the pieces; not needed for an image in memory.

    Signals:
        changed: A Rect (image pixels) can be seen better than before.
        loaded: The source came.
        failed: A PspnetError: a part cannot be read.
    """

    changed = Signal(object)
    loaded = Signal()
    failed = Signal(object)

    def __init__(
        self,
        width: int,
        height: int,
        preview: RgbImage | None = None,
        source: Source | None = None,
        runner: JobRunner | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.rect = Rect(0, 0, width, height)
        self.preview = preview
        self.source: Source | None = None
        self._runner = runner
        self._blocks: OrderedDict[Key, RgbImage] = OrderedDict()
        self._nbytes = 0
        self._requests = BlockRequests()
        self._reading: JobHandle | None = None
        self._preparing: JobHandle | None = None
        self._is_broken = False
        self._deep: tuple[DeepImage, NDArray[np.uint8]] | None = None
        if source is not None:
            self._take(source)

    @staticmethod
    def of_array(image: RgbImage, parent: QObject | None = None) -> ImagePixels:
        """An image in memory: (H, W, 3) uint8 RGB; not changed, not copied."""
        return ImagePixels(int(image.shape[1]), int(image.shape[0]), source=ArraySource(image), parent=parent)

    @property
    def array(self) -> RgbImage | None:
        """All of it, where it is in memory."""
        return self.source.image if isinstance(self.source, ArraySource) else None

    @property
    def is_loaded(self) -> bool:
        """Whether the image itself is there, in memory or by pieces."""
        return self.source is not None

    def set_source(self, source: Source) -> None:
        """The image itself has come."""
        self._take(source)
        self.loaded.emit()
        self.changed.emit(self.rect)

    def show_window(self, deep: DeepImage | None, window: Window) -> None:
        """Show a part of the range of 16-bit values from now on, or all of it; only for an image in memory.

        :attr:`array`, :attr:`source` and :meth:`reader` go on giving what is trained and predicted on.
        """
        deep = None if window.is_full else deep
        if deep is None and self._deep is None:
            return
        assert deep is None or deep.shape == (self.rect.h, self.rect.w)
        self._deep = None if deep is None else (deep, window.table())
        self.changed.emit(self.rect)

    def thinned(self, step: int) -> RgbImage | None:
        """Every ``step``-th pixel of every ``step``-th row as shown; the preview where the image is not in memory."""
        if self._deep is not None:
            return self._deep[0].thinned(step, self._deep[1])
        array = self.array
        return self.preview if array is None else array[::step, ::step]

    def read(self, rect: Rect, level: int = 0) -> RgbImage | None:
        """The pixels of ``rect`` (in pixels of ``level``, inside the image) as shown; at once, without decoding.

        Returns:
            (rect.h, rect.w, 3) uint8 RGB, not to be written to; None when a part of it is not there yet: it is then
            being read, and ``changed`` follows.

        An image in memory is read at level 0 only.
        """
        if isinstance(self.source, ArraySource):
            assert level == 0, "the canvas reduces an image in memory itself"
            return self.source.image[rect.slices] if self._deep is None else self._deep[0].read(rect, self._deep[1])
        if self.source is None or self._is_broken:
            return None
        last = self.source.num_levels - 1
        if level > last:  # far smaller than a window: every n-th pixel will do
            return self._thinned(rect, level - last, last)
        if not self.source.is_prepared and level >= self.source.prepared_level:
            self._prepare(self.source)
            return None  # the preview serves until all small levels come together
        return self._gathered(rect, level)

    def reader(self, rect: Rect, level: int = 0) -> Callable[[], RgbImage]:
        """A function that gives the pixels of ``rect`` (in pixels of ``level``); for jobs, because it may decode.

        The function raises ImageReadError: they cannot be read, or the image itself is not there yet.
        """
        source = self.source

        def read() -> RgbImage:
            if source is None:
                raise not_yet()
            if level == 0 or not isinstance(source, ArraySource):
                return source.read(rect, level)
            from PIL import Image

            part = Rect(*(v << level for v in rect)).intersect(self.rect)
            return np.asarray(Image.fromarray(np.ascontiguousarray(source.image[part.slices])).reduce(1 << level))

        return read

    def pause(self) -> None:
        """Read nothing more for now: the image is left. What is asked for later is read again."""
        for job in (self._reading, self._preparing):
            if job is not None:
                job.cancel()
        self._reading = self._preparing = None

    # --- inside

    def _take(self, source: Source) -> None:
        assert (source.width, source.height) == (self.rect.w, self.rect.h)
        self.source = source
        if isinstance(source, TiffSource) and not source.is_prepared:
            self._prepare(source)

    def _prepare(self, source: TiffSource) -> None:
        if self._preparing is not None:
            return
        assert self._runner is not None, "pieces are read by jobs"
        self._preparing = self._runner.submit(
            Lane.VIEW,
            source.prepare,
            name=tr("reading the image"),
            priority=Priority.PREFETCH,
            on_done=self._on_prepared,
            on_error=self._on_error,
        )

    def _thinned(self, rect: Rect, shift: int, last: int) -> RgbImage | None:
        width, height = level_size(self.rect.w, self.rect.h, last)
        finer = Rect(*(v << shift for v in rect)).intersect(Rect(0, 0, width, height))
        pixels = self.read(finer, last)
        return None if pixels is None else pixels[:: 1 << shift, :: 1 << shift]

    def _gathered(self, rect: Rect, level: int) -> RgbImage | None:
        keys = [
            (level, row, column)
            for row in range(rect.y // BLOCK_PX, (rect.bottom - 1) // BLOCK_PX + 1)
            for column in range(rect.x // BLOCK_PX, (rect.right - 1) // BLOCK_PX + 1)
        ]
        missing = [key for key in keys if key not in self._blocks]
        if missing:
            self._ask(missing)
            return None
        out = None if len(keys) == 1 else np.empty((rect.h, rect.w, 3), np.uint8)
        for key in keys:
            self._blocks.move_to_end(key)
            place = block_rect(key)
            part = place.intersect(rect)
            pixels = self._blocks[key][Rect(part.x - place.x, part.y - place.y, part.w, part.h).slices]
            if out is None:
                return pixels
            out[Rect(part.x - rect.x, part.y - rect.y, part.w, part.h).slices] = pixels
        return out

    def _ask(self, keys: list[Key]) -> None:
        for key in keys:
            self._requests.add(key)
        if self._reading is not None or self.source is None:
            return
        assert self._runner is not None, "pieces are read by jobs"
        source = self.source
        self._reading = self._runner.submit(
            Lane.VIEW,
            lambda: read_blocks(self._requests, source),
            name=tr("reading the image"),
            priority=Priority.VISIBLE,
            on_event=self._on_block,
            on_done=self._on_read,
            on_error=self._on_error,
        )

    def _on_block(self, block: Block) -> None:
        if self._is_broken:
            return
        if block.key not in self._blocks:
            self._nbytes += block.pixels.nbytes
        self._blocks[block.key] = block.pixels
        while self._nbytes > _BLOCKS_BYTES and len(self._blocks) > 1:
            self._nbytes -= self._blocks.popitem(last=False)[1].nbytes
        rect = block_rect(block.key)
        self.changed.emit(Rect(*(v << block.key[0] for v in rect)).intersect(self.rect))

    def _on_read(self, _: Any) -> None:
        self._reading = None
        if len(self._requests) and not self._is_broken:  # asked for while the job was ending
            self._ask([])

    def _on_prepared(self, _: Any) -> None:
        self._preparing = None
        self.changed.emit(self.rect)

    def _on_error(self, error: PspnetError) -> None:
        if not self._is_broken:
            self._is_broken = True  # or it would be asked for, and told, again and again
            self.pause()
            self.failed.emit(error)


def not_yet() -> ImageReadError:
    """The pixels are asked for before they are there."""
    return ImageReadError(
        tr("The image is still being read."),
        tr("Its pixels are needed for this."),
        tr("Try again in a moment."),
    )
