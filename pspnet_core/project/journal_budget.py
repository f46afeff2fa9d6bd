"""The journals of a whole project: within the budget for undo, and those with strokes that are in no mask yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pspnet_core.errors import JournalError
from pspnet_core.project.journal_file import is_held, remove_unless_held
from pspnet_core.project.journal_log import FRAME_BYTES, Kind, parse_log, read_log
from pspnet_core.project.places import journal_root
from pspnet_core.project.replay import SUFFIX


def trim(folder: Path, budget_bytes: int) -> Iterator[int]:
    """Delete journals whose strokes are all in their masks, the one that was not written for longest first.

    Args:
        folder: The project's own folder.
        budget_bytes: What the rest may need together. Journals that are open somewhere, or hold anything that is in no
            mask yet, stay in any case.

    Yields:
        Bytes of all journals, as far as is known, after each step.
    """
    found: list[tuple[int, int, Path]] = []  # time of the last write, size, path
    total = 0
    for place, _, names in os.walk(journal_root(folder)):
        for name in names:
            path = Path(place) / name
            if path.suffix == SUFFIX:
                with suppress(OSError):  # deleted just now
                    status = path.stat()
                    found.append((status.st_mtime_ns, status.st_size, path))
                    total += status.st_size
        yield total
    for _, size, path in sorted(found):
        if total <= budget_bytes:
            break
        with suppress(OSError):  # gone, or not ours to delete: the others will do
            if _is_saved(path):
                remove_unless_held(path)
                total -= size
                path.parent.rmdir()
        yield total


def unsaved_items(folder: Path) -> Iterator[str | None]:
    """Look for items with strokes that are in no mask yet, and that no session works on.

    Args:
        folder: The project's own folder.

    Yields:
        The key of each, None in between.
    """
    root = journal_root(folder)
    for place, _, names in os.walk(root):
        paths = [Path(place) / name for name in names]
        is_unsaved = any(path.suffix == SUFFIX and _has_unsaved(path) for path in paths)
        yield Path(place).relative_to(root).as_posix() if is_unsaved else None


def _has_unsaved(path: Path) -> bool:
    try:
        if _ends_saved(path) or is_held(path):
            return False
        records = read_log(path).records
    except (JournalError, OSError):  # who opens the image is told
        return False
    saved = max((record.number for record in records if record.kind is Kind.SAVED), default=0)
    return max((record.number for record in records), default=0) > saved


def _ends_saved(path: Path) -> bool:
    """Whether its last record says so: then the others need not be read."""
    with open(path, "rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - FRAME_BYTES))
        records = parse_log(stream.read()).records
    return bool(records) and records[-1].kind is Kind.SAVED


def _is_saved(path: Path) -> bool:
    """Whether the last thing that it tells is that everything was saved."""
    try:
        log = read_log(path)
    except JournalError:
        return False  # a newer program knows what is in it
    numbers = [record.number for record in log.records]
    saved = [record.number for record in log.records if record.kind is Kind.SAVED]
    return bool(saved) and max(saved) == max(numbers) and log.damaged_at is None
