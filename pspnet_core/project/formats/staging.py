"""A folder that is filled completely or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from pspnet_core.atomic import put_in_place, storage_error, write_json
from pspnet_core.errors import StorageError
from pspnet_core.imaging.stamp import SOFTWARE

MANIFEST = ".pspnet-export.json"
"""Lists the files of an export with their checksums: only these may be replaced by the next one."""

_CHUNK_BYTES = 1 << 20


class Staging:
    """Files are written beside the place where they belong, and moved there in one go.

    Used as a context manager; without :meth:`commit` nothing stays.

    Args:
        out: An absolute folder, which may not exist yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = out / f".export-{secrets.token_hex(4)}.tmp"
        self._made: list[Path] = []
        self._is_committed = False

    def __enter__(self) -> Staging:
        missing = [folder for folder in (self._out, *self._out.parents) if not folder.exists()]
        self._made = missing
        try:
            self._folder.mkdir(parents=True)
        except OSError as error:
            self._remove_made()
            raise storage_error(self._out, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._is_committed:
            self._remove_made()

    def path(self, place: str) -> Path:
        """Where to write what belongs to ``place`` (relative, with "/")."""
        return self._folder.joinpath(*place.split("/"))

    def final_path(self, place: str) -> Path:
        """Where it will lie."""
        return self._out.joinpath(*place.split("/"))

    def write_manifest(self, format_id: str) -> None:
        """List what was written so far, and what an earlier export left that is still as it was.

        Raises:
            StorageError: It could not be written.
        """
        files = known_files(self._out)
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                files[path.relative_to(self._folder).as_posix()] = digest_of(path)
        write_json(self.path(MANIFEST), {"software": SOFTWARE, "format": format_id, "files": files})

    def commit(self) -> None:
        """Move everything to its place; a whole folder at once where there is none yet. Raises: StorageError."""
        self._is_committed = True  # from here on files may lie there: the folder is not taken away again
        for child in sorted(self._folder.iterdir()):
            _move(child, self._out / child.name)

    def _remove_made(self) -> None:
        for folder in self._made:
            with suppress(OSError):  # something of somebody else came into it, or it was never made
                folder.rmdir()


def known_files(out: Path) -> dict[str, str]:
    """Checksums of the files of earlier exports into a folder, by place."""
    try:
        data = json.loads((out / MANIFEST).read_bytes())
        files = data["files"] if data["software"] == SOFTWARE else {}
        return {str(place): str(digest) for place, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def digest_of(path: Path) -> str:
    """Size and checksum of a file. Raises: StorageError."""
    size, checksum = 0, 0
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    except OSError as error:
        raise StorageError(f"{path.name} could not be read.", f"{path}: {error.strerror}.") from error
    return f"{size}-{checksum:08x}"


def _move(source: Path, target: Path) -> None:
    if source.is_dir() and os.path.lexists(target):
        for child in sorted(source.iterdir()):
            _move(child, target / child.name)
    else:
        put_in_place(source, target)
