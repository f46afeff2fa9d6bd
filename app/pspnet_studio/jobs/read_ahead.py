"""Pictures that are kept, or read before anyone asks for them, within a budget of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.opening import file_version, open_source
from pspnet_core.imaging.read import read_info
from pspnet_core.imaging.source import ArraySource, FileVersion
from pspnet_core.memory import total_memory
from pspnet_core.project.project import Item

_SHARE_OF_MEMORY = 8
_MOST_BYTES = 1024**3
_LEAST_KNOWN_BYTES = 256 * 1024**2
"""Where the system does not tell how much memory there is."""


def default_budget() -> int:
    """One eighth of the machine's memory, at most 1 GB."""
    total = total_memory()
    return _LEAST_KNOWN_BYTES if total is None else min(_MOST_BYTES, total // _SHARE_OF_MEMORY)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    version: FileVersion
    source: ArraySource


class PictureStore:
    """Decoded pictures, those used last; one is forgotten when its file was written again. Threads may share it.

    Args:
        budget_bytes: Of pixels; the default is :func:`default_budget`.
    """

    def __init__(self, budget_bytes: int | None = None) -> None:
        self.budget_bytes = default_budget() if budget_bytes is None else budget_bytes
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[Path, int], _Kept] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of pixels held now."""
        with self._lock:
            return self._nbytes()

    def get(self, item: Item) -> ArraySource | None:
        """The picture of an item if it is here and its file is still the same. Looks at the file."""
        version = file_version(item.image_path)
        place = (item.image_path, item.page)
        with self._lock:
            kept = self._pictures.get(place)
            if kept is None:
                return None
            if kept.version != version:
                del self._pictures[place]
                return None
            self._pictures.move_to_end(place)
            return kept.source

    def put(self, item: Item, version: FileVersion | None, source: ArraySource) -> None:
        """Keep a picture; those that were not used for longest go.

        Args:
            item: Whose it is.
            version: Of the file before it was read; None when it could not be told: it is not kept.
            source: The picture. One that is larger than the budget is not kept.
        """
        if version is None or source.image.nbytes > self.budget_bytes:
            return
        with self._lock:
            self._pictures[item.image_path, item.page] = _Kept(version, source)
            self._pictures.move_to_end((item.image_path, item.page))
            while self._nbytes() > self.budget_bytes:
                self._pictures.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._pictures.clear()

    def _nbytes(self) -> int:
        return sum(kept.source.image.nbytes for kept in self._pictures.values())


def read_ahead(store: PictureStore, items: Sequence[Item]) -> Iterator[str]:
    """Read the pictures of items that will probably be wanted next into a store; yields the key of each.

    What cannot be read is left out: it is told when somebody wants to see it. So is what needs more than a third of
    the budget (the picture on screen and one on each side have to fit), and what is read by pieces, which is quick.

    Args:
        store: Where they are kept.
        items: The most probable first.
    """
    for item in items:
        if store.get(item) is None:
            version = file_version(item.image_path)
            try:
                info = read_info(item.image_path, item.page)
                if 3 * info.width * info.height <= store.budget_bytes // 3:
                    source = open_source(item.image_path, item.page)
                    if isinstance(source, ArraySource):
                        store.put(item, version, source)
            except ImageReadError:
                continue
        yield item.key
