"""Marked cells of earlier images, kept in the project so that they help on later ones. A cache: it may be deleted.

One file for each image, so that people who share a folder do not write the same one:
``.pspnet-studio/live/<digest of the item key>.npz`` with ``rows`` (n, D) float16, ``class_ids`` (n,) uint8, ``mean``
and ``deviation`` (D,) float32 (:class:`KeptRows`), ``spec`` (what the columns mean) and ``item``.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pspnet_core import atomic
from pspnet_core.inference.features import FEATURE_SPEC
from pspnet_core.inference.kept_rows import KeptRows

logger = logging.getLogger(__name__)

FOLDER = "live"

MAX_IMAGES = 200
"""Files of a project; the oldest go first."""

IMAGES_USED, ROWS_PER_CLASS = 20, 400
"""What a head learns from: the latest images, and at most so many of their rows for each class."""


def write_rows(folder: Path, item_key: str, kept: KeptRows | None) -> None:
    """Replace what is kept of an image; None or no rows: nothing.

    Args:
        folder: ``live`` of the project; made when it is not there.
        item_key: Of the image.
        kept: Its marked cells, of this image alone.

    Raises:
        StorageError: It cannot be written.
    """
    path = _path(folder, item_key)
    try:
        if kept is None or not len(kept.rows):
            path.unlink(missing_ok=True)
            return
        atomic.make_folder(folder)
    except OSError as error:
        raise atomic.storage_error(path, error) from error
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        rows=kept.rows,
        class_ids=kept.class_ids,
        mean=kept.means[0],
        deviation=kept.deviations[0],
        spec=np.array(FEATURE_SPEC),
        item=np.array(item_key),
    )
    atomic.write_bytes(path, buffer.getvalue())
    try:
        for old in _latest(folder)[MAX_IMAGES:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise atomic.storage_error(folder, error) from error


def read_rows(folder: Path, without: str, class_ids: Collection[int]) -> KeptRows | None:
    """Rows of the latest images of a project.

    What is damaged, or was made with other features, is passed over.

    Args:
        folder: ``live`` of the project.
        without: Key of the item whose own rows are not wanted: its strokes are there themselves.
        class_ids: Rows of other classes are left out.

    Returns:
        None where there is nothing.
    """
    own, parts = _path(folder, without), []
    for path in _latest(folder):
        part = _read(path) if path != own else None
        if part is not None and len(part.rows):
            parts.append(part)
        if len(parts) == IMAGES_USED:
            break
    if not parts:
        return None
    joined = KeptRows.joined(parts)
    chosen: list[NDArray[np.intp]] = []
    for class_id in set(np.unique(joined.class_ids).tolist()).intersection(class_ids):
        rows = np.flatnonzero(joined.class_ids == class_id)
        chosen.append(rows[:: -(-len(rows) // ROWS_PER_CLASS)])
    if not chosen:
        return None
    return joined.only(np.concatenate(chosen))


def _latest(folder: Path) -> list[Path]:
    """Latest first."""
    try:
        return sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError as error:  # another program deletes them
        logger.warning("rows in %s cannot be listed: %s", folder, error)
        return []


def _path(folder: Path, item_key: str) -> Path:
    return folder / f"{hashlib.sha256(item_key.encode()).hexdigest()[:24]}.npz"


def _read(path: Path) -> KeptRows | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["spec"]) != FEATURE_SPEC:
                return None
            rows, class_ids = file["rows"], file["class_ids"]
            mean, deviation = file["mean"], file["deviation"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("rows in %s cannot be used: %s", path, error)
        return None
    is_sound = rows.ndim == 2 and rows.dtype == np.float16
    is_sound = is_sound and class_ids.shape == rows.shape[:1] and class_ids.dtype == np.uint8
    for values in (mean, deviation):
        is_sound = is_sound and values.shape == rows.shape[1:] and values.dtype == np.float32
    if not is_sound or not (np.isfinite(mean).all() and np.isfinite(deviation).all() and (deviation > 0).all()):
        logger.warning("rows in %s have another shape: %s", path, rows.shape)
        return None
    return KeptRows(rows, class_ids, np.zeros(len(rows), np.uint16), mean[None], deviation[None])
