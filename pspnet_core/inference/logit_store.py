"""Logits on disk, so that an image that was predicted once is shown again at once. Imports no torch.

A cache: whatever is missing, damaged or of another version is computed again.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pspnet_core.atomic import write_bytes
from pspnet_core.cache_folder import delete_oldest, hashed_name
from pspnet_core.inference.logits import LogitGrid, grid_shape

BUDGET_BYTES = 1024 * 1024 * 1024
"""Of all files of one project."""

_MAGIC = b"PSPL1\n"


class LogitStore:
    """Logit grids in a folder; those that were used longest ago go when there are too many.

    Args:
        folder: Is made when something is kept.
        budget_bytes: Of all files together.
    """

    def __init__(self, folder: Path, budget_bytes: int = BUDGET_BYTES) -> None:
        self._folder = folder
        self._budget = budget_bytes

    def get(self, key: Sequence[object]) -> LogitGrid | None:
        """The logits that were kept under ``key``; None where there are none that can be trusted."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        grid = _decoded(data)
        if grid is None:
            path.unlink(missing_ok=True)
        return grid

    def put(self, key: Sequence[object], grid: LogitGrid) -> None:
        """Keep ``grid`` if there is none of its key yet. Raises: StorageError.

        One that is larger than a quarter of the budget is not kept.
        """
        path = self._path(key)
        if grid.num_bytes > self._budget // 4 or path.exists():
            return
        write_bytes(path, _encoded(grid))
        delete_oldest(self._folder, "*.logits", self._budget)

    def _path(self, key: Sequence[object]) -> Path:
        return self._folder / f"{hashed_name(key)}.logits"


def _encoded(grid: LogitGrid) -> bytes:
    values = np.ascontiguousarray(grid.values)
    body = zlib.compress(values.tobytes(), 1) if values.nbytes < 1 << 20 else values.tobytes()
    head = {
        "stride": grid.stride,
        "class_ids": list(grid.class_ids),
        "height": grid.height,
        "width": grid.width,
        "align_corners": grid.align_corners,
        "is_packed": values.nbytes < 1 << 20,
        "crc": zlib.crc32(body),
    }
    return b"".join((_MAGIC, json.dumps(head).encode(), b"\n", body))


def _decoded(data: bytes) -> LogitGrid | None:
    stream = io.BytesIO(data)
    if stream.readline() != _MAGIC:
        return None
    try:
        head = json.loads(stream.readline())
        body = stream.read()
        if zlib.crc32(body) != head["crc"]:
            return None
        body = zlib.decompress(body) if head["is_packed"] else body
        height, width, stride, align = (head[name] for name in ("height", "width", "stride", "align_corners"))
        ids = tuple(int(number) for number in head["class_ids"])
        values = np.frombuffer(body, np.float16).reshape(len(ids), *grid_shape(height, width, stride, align))
    except (ValueError, KeyError, TypeError, zlib.error):
        return None
    return LogitGrid(values, stride, ids, height, width, align)
