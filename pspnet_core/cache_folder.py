"""Folders of files that can be made again: named by what they depend on, kept within a budget of bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def hashed_name(key: Sequence[object]) -> str:
    """32 hexadecimal digits that stand for ``key``, whose parts have a stable ``repr``."""
    return hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:32]


def delete_oldest(folder: Path, pattern: str, budget_bytes: int) -> None:
    """Delete the files written first while all of ``folder`` that match ``pattern`` are too large together."""
    files = []
    for path in folder.glob(pattern):
        try:
            status = path.stat()
        except OSError:  # another process tidies, too
            continue
        files.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= budget_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size
