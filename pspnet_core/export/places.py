"""Whether a file can be written at a place, before the work that leads to it begins."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pspnet_core.atomic import storage_error


def check_place(path: Path) -> Path:
    """``path`` as an absolute one.

    Raises:
        StorageError: A folder is there already, or nothing may be written into the folder where it is to lie.
    """
    path = Path(os.path.abspath(path))
    if path.is_dir():
        raise storage_error(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        raise storage_error(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise storage_error(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return path
