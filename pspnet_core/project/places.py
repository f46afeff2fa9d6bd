"""Where a project keeps what is its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from pspnet_core import atomic
from pspnet_core.atomic import storage_error
from pspnet_core.project.records import Notice

OWN_FOLDER = atomic.OWN_FOLDER


def user_data_folder() -> Path:
    """The user's data folder of this program; it may not exist yet."""
    from platformdirs import user_data_path

    return user_data_path("pspnet-studio", appauthor=False)


def own_folder(root: Path) -> tuple[Path, tuple[Notice, ...]]:
    """The folder for everything of ours, and what is to be told about it.

    It is ``<root>/.pspnet-studio``. Where that may not be written it is a folder of the user's data folder,
    which starts as a copy of what a read-only root already holds.

    Raises:
        StorageError: The copy could not be made.
    """
    own = root / OWN_FOLDER
    if os.access(own if own.is_dir() else root, os.W_OK):
        return own, ()
    # The resolved path: the same folder reached by another way is the same project.
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    folder = user_data_folder() / "projects" / digest
    if own.is_dir() and not folder.exists():
        _copy(own, folder)
    notice = Notice(
        f"{root.name or root} may not be written to.",
        f"What you do is kept in {folder}.",
        "Make the folder writable before you begin, if you want everything to stay together.",
    )
    return folder, (notice,)


def journal_folder(folder: Path, key: str) -> Path:
    """Where the journals of an item lie in a project's own folder, one file per session."""
    return journal_root(folder) / key


def journal_root(folder: Path) -> Path:
    """Where all journals lie in a project's own folder."""
    return folder / "journal"


def _copy(source: Path, target: Path) -> None:
    """Copy a folder completely or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=target.parent) as temporary:
            shutil.copytree(source, Path(temporary) / "copy")
            os.replace(Path(temporary) / "copy", target)
    except shutil.Error as error:
        raise storage_error(target, OSError(str(error))) from error
    except OSError as error:
        raise storage_error(target, error) from error
