"""Parts of a picture that is too large for memory, decoded in the background as they come into sight."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pspnet_core.imaging.source import ImageSource
from pspnet_core.types import Rect, RgbImage

BLOCK_PX = 512
_MAX_REQUESTS = 64
_BATCH_S = 0.1

Key = tuple[int, int, int]
"""Level, row and column of a block."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Pixels of one block.

    Attributes:
        key: Level, row and column.
        pixels: (h, w, 3) uint8 RGB, at most 512 x 512, cut to the picture.
    """

    key: Key
    pixels: RgbImage


class BlockRequests:
    """What is wanted, filled by the GUI thread and emptied by the view lane: the last batch first, each in its order.

    Beyond 64 requests the oldest are forgotten: they are out of sight.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[Key, int] = {}

    def add(self, key: Key) -> None:
        """Ask for a block; one that was asked for before keeps its place unless that was long ago."""
        batch = int(time.monotonic() / _BATCH_S)
        with self._lock:
            self._requests[key] = batch
            while len(self._requests) > _MAX_REQUESTS:
                del self._requests[min(self._requests, key=self._requests.__getitem__)]

    def take(self) -> Key | None:
        """The next request, which is no longer in the queue; None when there is none."""
        with self._lock:
            if not self._requests:
                return None
            key = max(self._requests, key=self._requests.__getitem__)  # the first of the newest batch
            del self._requests[key]
            return key

    def __len__(self) -> int:
        with self._lock:
            return len(self._requests)


def block_rect(key: Key) -> Rect:
    """Where a block lies, in pixels of its level; at the border a part of it is outside the picture."""
    _, row, column = key
    return Rect(column * BLOCK_PX, row * BLOCK_PX, BLOCK_PX, BLOCK_PX)


def read_blocks(requests: BlockRequests, source: ImageSource) -> Iterator[Block]:
    """Read what is asked for until nothing is left.

    Args:
        requests: May be added to meanwhile.
        source: The picture.

    Raises:
        ImageReadError: A part cannot be read.
    """
    while (key := requests.take()) is not None:
        yield Block(key, source.read(block_rect(key), key[0]))
