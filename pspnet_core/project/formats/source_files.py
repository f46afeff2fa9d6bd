"""The files of an import: a folder, an archive or one file; nothing outside of it is ever looked at."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from pspnet_core.errors import DataError

MAX_FILES = 2_000_000
MAX_TEXT_BYTES = 512 * 1024 * 1024
MAX_MEMBER_BYTES = 2 * 1024 * 1024 * 1024
_MAX_RATIO = 2000  # of a member of an archive: even an empty mask is not packed better by the programs in use
_CHUNK_BYTES = 1 << 20
_DRIVE = re.compile(r"^[A-Za-z]:")


class SourceError(DataError):
    """What is to be imported cannot be read, or is not what it is taken for."""


def is_inside(name: str) -> bool:
    """Whether a relative path stays where it starts: not absolute, no drive, no ".." and no control characters."""
    plain = name.replace("\\", "/")
    parts = plain.split("/")
    is_plain = bool(plain) and "\0" not in plain and plain.isprintable()
    return is_plain and not plain.startswith("/") and not _DRIVE.match(plain) and ".." not in parts


class SourceFiles:
    """Lists and reads the files of a source. Close it.

    Args:
        source: A folder, a .zip archive or a file; beside a file nothing else is looked at.

    Raises:
        SourceError: There is nothing, or it cannot be read.

    Attributes:
        names: Relative paths with "/", sorted.
        refused: Names in an archive, and links in a folder, that lead out of it.
    """

    def __init__(self, source: Path) -> None:
        self.source = Path(os.path.abspath(source))
        self.refused: list[str] = []
        self._archive: zipfile.ZipFile | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._unpacked: Path | None = None
        try:
            if self.source.is_dir():
                self._root, names = self.source, self._walk(self.source)
            elif zipfile.is_zipfile(self.source):
                self._root, names = self.source.parent, self._open_archive()
            else:
                self.source.stat()
                self._root, names = self.source.parent, [self.source.name]
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise SourceError(f"{self.source.name} could not be read.", f"{self.source}: {why}.") from error
        self.names = tuple(sorted(names))

    def close(self) -> None:
        """Remove what was unpacked."""
        if self._archive is not None:
            self._archive.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def named(self, *names: str) -> str | None:
        """The shortest path with one of these file names (case does not count), if there is any."""
        wanted = {name.casefold() for name in names}
        found = [path for path in self.names if path.rpartition("/")[2].casefold() in wanted]
        return min(found, key=lambda path: (path.count("/"), path), default=None)

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Paths with one of these suffixes (lower case)."""
        return [path for path in self.names if path.lower().endswith(suffixes)]

    def below(self, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
        """Files below a folder of this name, or all where there is none: path -> what names the image."""
        found = {}
        for path in self.with_suffix(*suffixes):
            parts = path.split("/")
            folders = [part.casefold() for part in parts[:-1]]
            if folder in folders:
                parts = parts[folders.index(folder) + 1 :]
                found[path] = "/".join(parts).rpartition(".")[0]
        return found or {path: path.rpartition(".")[0] for path in self.with_suffix(*suffixes)}

    def read(self, name: str, limit: int = MAX_TEXT_BYTES) -> bytes:
        """The bytes of a file. Raises: SourceError (too large, not inside, not readable)."""
        path = self.path(name)
        try:
            size = path.stat().st_size
            if size > limit:
                raise SourceError(
                    f"{name} is too large.",
                    f"It has {size:,} bytes; at most {limit:,} are read.",
                    "Split it into several files.",
                )
            return path.read_bytes()
        except OSError as error:
            raise SourceError(f"{name} could not be read.", f"{path}: {error.strerror}.") from error

    def path(self, name: str) -> Path:
        """A file on disk; of an archive, one file at a time lies in a temporary folder. Raises: SourceError."""
        if not is_inside(name):
            raise SourceError(f"{name!r} leads out of {self.source.name}.", "It was not looked at.")
        if self._archive is not None:
            return self._unpack(name)
        path = self._root.joinpath(*name.replace("\\", "/").split("/"))
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise SourceError(f"{name!r} leads out of {self.source.name}.", "It was not looked at.")
        return path

    def _walk(self, root: Path) -> list[str]:
        names = []
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            place = Path(folder)
            for name in files:
                path = place / name
                if name.startswith("."):
                    continue
                relative = path.relative_to(root).as_posix()
                if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                    self.refused.append(relative)
                    continue
                names.append(relative)
            _check_number(names)
        return names

    def _open_archive(self) -> list[str]:
        self._archive = zipfile.ZipFile(self.source)
        self._temporary = tempfile.TemporaryDirectory(prefix="pspnet-import-")
        names: list[str] = []
        for member in self._archive.infolist():
            if member.is_dir():
                continue
            if is_inside(member.filename):
                names.append(member.filename)
            else:
                self.refused.append(member.filename)
            _check_number(names)
        return list(dict.fromkeys(names))

    def _unpack(self, name: str) -> Path:
        assert self._archive is not None
        assert self._temporary is not None
        if self._unpacked is not None:
            self._unpacked.unlink(missing_ok=True)
        try:
            member = self._archive.getinfo(name)
            limit = min(MAX_MEMBER_BYTES, max(_CHUNK_BYTES, member.compress_size * _MAX_RATIO))
            suffix = Path(name).suffix if is_inside(Path(name).suffix or "x") else ""
            with (
                self._archive.open(member) as stream,
                tempfile.NamedTemporaryFile(dir=self._temporary.name, suffix=suffix, delete=False) as target,
            ):
                self._unpacked = Path(target.name)
                size = 0
                while chunk := stream.read(_CHUNK_BYTES):
                    size += len(chunk)
                    if size > limit:
                        raise SourceError(
                            f"{name} in {self.source.name} is too large.",
                            f"More than {limit:,} bytes come out of {member.compress_size:,}.",
                            "Unpack the archive yourself, if you trust it, and import the folder.",
                        )
                    target.write(chunk)
        except (
            KeyError,
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
            EOFError,
        ) as error:
            raise SourceError(f"{name} in {self.source.name} could not be read.", f"{error}.") from error
        return self._unpacked


def _check_number(names: Sequence[str]) -> None:
    if len(names) > MAX_FILES:
        raise ValueError(f"more than {MAX_FILES:,} files")
