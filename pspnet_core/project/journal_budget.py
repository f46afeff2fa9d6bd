"""Keeps the journals of a whole project within the budget for undo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pspnet_core.errors import JournalError
from pspnet_core.project.journal_file import remove_unless_held
from pspnet_core.project.journal_log import Kind, read_log
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


def _is_saved(path: Path) -> bool:
    """Whether the last thing that it tells is that everything was saved."""
    try:
        log = read_log(path)
    except JournalError:
        return False  # a newer program knows what is in it
    numbers = [record.number for record in log.records]
    saved = [record.number for record in log.records if record.kind is Kind.SAVED]
    return bool(saved) and max(saved) == max(numbers) and log.damaged_at is None
