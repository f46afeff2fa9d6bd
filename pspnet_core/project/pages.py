"""Which pages of TIFF files are images of their own: looked up once for each version of a file, within a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.medical import MEDICAL_SUFFIXES, is_medical, read_volume
from pspnet_core.imaging.source import FileVersion
from pspnet_core.imaging.tiff_chain import own_pages
from pspnet_core.project.records import Item

BUDGET_S = 0.3
"""So long files are looked at while somebody waits for the project; the others follow (:meth:`PageCounts.look`)."""

_WITH_PAGES = (".tif", ".tiff", *MEDICAL_SUFFIXES, ".nii.gz")
_STEP_S = 0.1


class PageCounts:
    """Remembers the pages of files. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[FileVersion | None, tuple[int, ...]]] = {}
        self._unknown: tuple[Path, ...] = ()

    @property
    def num_unknown(self) -> int:
        """How many files of the last :meth:`paged` were not looked at yet: they have the pages they had, else one."""
        return len(self._unknown)

    def paged(self, items: Iterable[Item], budget_s: float = BUDGET_S) -> list[Item]:
        """The items with one more for each further page; the page from 1 stands behind the key: "scan.tif#2".

        Args:
            items: The first page of each file.
            budget_s: For looking at files that are not known.
        """
        found: list[Item] = []
        unknown: list[Path] = []
        deadline = time.monotonic() + budget_s
        for item in items:
            if not item.key.lower().endswith(
                _WITH_PAGES
            ):  # of 100,000 paths each one asked takes a quarter of a second
                found.append(item)
                continue
            pages, is_sure = self._pages(item.image_path, time.monotonic() < deadline)
            if not is_sure:
                unknown.append(item.image_path)
            if len(pages) == 1:
                found.append(item)
                continue
            found.append(replace(item, num_pages=len(pages)))
            for page in pages[1:]:
                key = f"{item.key}#{page + 1}"
                found.append(replace(item, key=key, page=page, found_mask=None, num_pages=len(pages)))
        self._unknown = tuple(unknown)
        return found

    def look(self) -> Iterator[int]:
        """Look at the files that are not known yet; yields now and then how many are left."""
        unknown, then = self._unknown, time.monotonic()
        for place, path in enumerate(unknown):
            self._pages(path, may_look=True)
            if time.monotonic() - then > _STEP_S:
                yield len(unknown) - place
                then = time.monotonic()
        yield 0

    def _pages(self, path: Path, may_look: bool) -> tuple[tuple[int, ...], bool]:
        """The pages of a file, or those it had, and whether it has them now."""
        version = _version(path)
        known = self._known.get(path)
        if known is not None and known[0] == version:
            return known[1], True
        if not may_look:
            return ((0,) if known is None else known[1]), False
        pages = tuple(_slices(path) if is_medical(path) else own_pages(path))
        self._known[path] = version, pages
        return pages, True


def _slices(path: Path) -> range:
    try:
        return range(read_volume(path).num_slices)
    except ImageReadError:
        return range(1)  # who opens it is told


def _version(path: Path) -> FileVersion | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
