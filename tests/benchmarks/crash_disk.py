"""What a disk may hold after a power cut: writes are recorded in their order, then states are rebuilt from the record.

kill -9 proves no fsync: the system still writes what a dead process gave it. So the writes of a process are recorded
(:func:`record`), and :func:`states` makes folders in which data that was not synced is gone, complete, or torn.
"""

from __future__ import annotations

import builtins
import io
import os
import pickle
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Op(NamedTuple):
    """One change of the disk.

    Attributes:
        at_s: When it was done (monotonic).
        kind: ``create open write truncate sync replace unlink mkdir rmdir sync_folder``.
        path: Of the file or folder; for a write the path under which it was opened.
        value: Position and data of a write, size of a truncation, target of a replacement, number of the open file.
    """

    at_s: float
    kind: str
    path: str
    value: Any = None


def record(root: Path, log: Path) -> None:
    """From now on write down what this process changes under ``root``."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    real_open, os_open, fsync, close = builtins.open, os.open, os.fsync, os.close
    prefix = str(root) + os.sep
    handles: dict[int, tuple[str, int]] = {}  # descriptor -> path, number of the open file
    folders: dict[int, str] = {}
    numbers = iter(range(1 << 60))

    def is_ours(path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and str(path).startswith(prefix)

    def note(kind: str, path: Any, value: Any = None) -> None:
        os.write(out, pickle.dumps(Op(time.monotonic(), kind, str(path), value)))

    class Recorded:
        """A file that is written to, and tells."""

        def __init__(self, stream: Any, path: str, number: int) -> None:
            self._stream, self._path, self._number = stream, path, number
            handles[stream.fileno()] = (path, number)

        def write(self, data: Any) -> int:
            position = self._stream.tell()
            count = self._stream.write(data)
            note("write", self._path, (self._number, position, bytes(memoryview(data)[:count])))
            return int(count)

        def truncate(self, size: int) -> None:
            self._stream.truncate(size)
            note("truncate", self._path, (self._number, size))

        def close(self) -> None:
            if not self._stream.closed:
                handles.pop(self._stream.fileno(), None)
                self._stream.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

        def __enter__(self) -> Recorded:
            return self

        def __exit__(self, *_: Any) -> None:
            self.close()

    def open_file(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        stream = real_open(file, mode, *args, **kwargs)
        if not (is_ours(file) and set(mode) & set("wa+x")):
            return stream
        number = next(numbers)
        note("create" if "w" in mode else "open", file, number)
        return Recorded(stream, str(file), number)

    def open_descriptor(path: Any, *args: Any, **kwargs: Any) -> int:
        handle = os_open(path, *args, **kwargs)
        if is_ours(str(path) + os.sep) and os.path.isdir(path):
            folders[handle] = str(path)
        return handle

    def sync(handle: int) -> None:
        fsync(handle)
        if handle in handles:
            note("sync", *handles[handle])
        elif handle in folders:
            note("sync_folder", folders[handle])

    def close_descriptor(handle: int) -> None:
        folders.pop(handle, None)
        close(handle)

    def noting(kind: str, function: Any) -> Any:
        def changed(path: Any, *args: Any, **kwargs: Any) -> Any:
            result = function(path, *args, **kwargs)
            if is_ours(path):
                note(kind, path, str(args[0]) if kind == "replace" else None)
            return result

        return changed

    builtins.open, os.open, os.fsync, os.close = open_file, open_descriptor, sync, close_descriptor
    io.open = open_file
    for kind in ("replace", "unlink", "mkdir", "rmdir"):
        setattr(os, kind, noting(kind, getattr(os, kind)))


def read_record(log: Path) -> list[Op]:
    """All operations, as far as they were written down whole."""
    ops: list[Op] = []
    with log.open("rb") as stream:
        while True:
            try:
                ops.append(pickle.load(stream))
            except (EOFError, pickle.UnpicklingError):
                return ops


class _Disk:
    """Files and names, as the process sees them and as they are on the disk for certain."""

    def __init__(self, start: Path) -> None:
        self.content: dict[int, bytearray] = {}
        self.synced: dict[int, bytes] = {}
        self.names: dict[str, int] = {}  # what the process sees; a folder is -1
        self.synced_names: dict[str, int] = {}
        self._open: dict[int, int] = {}
        self._next = 0
        for path in start.rglob("*"):
            self.names[str(path)] = -1 if path.is_dir() else self._new(path.read_bytes())
        self.synced = {number: bytes(data) for number, data in self.content.items()}
        self.synced_names = dict(self.names)

    def _new(self, data: bytes = b"") -> int:
        self._next += 1
        self.content[self._next] = bytearray(data)
        self.synced.setdefault(self._next, b"")
        return self._next

    def do(self, op: Op) -> None:
        path, value = op.path, op.value
        if op.kind == "create":
            self.names[path] = self._open[value] = self._new()
        elif op.kind == "open":
            self._open[value] = self.names[path]
        elif op.kind == "write":
            data = self.content[self._open[value[0]]]
            data.extend(bytes(max(0, value[1] - len(data))))
            data[value[1] : value[1] + len(value[2])] = value[2]
        elif op.kind == "truncate":
            del self.content[self._open[value[0]]][value[1] :]
        elif op.kind == "sync":
            file = self._open[value]
            self.synced[file] = bytes(self.content[file])
        elif op.kind == "replace":
            self.names[value] = self.names.pop(path)
        elif op.kind in ("unlink", "rmdir"):
            self.names.pop(path, None)
        elif op.kind == "mkdir":
            self.names[path] = -1
        elif op.kind == "sync_folder":
            inside = {name for name in {*self.names, *self.synced_names} if os.path.dirname(name) == path}
            for name in inside:
                if name in self.names:
                    self.synced_names[name] = self.names[name]
                else:
                    self.synced_names.pop(name, None)

    def write(self, rng: random.Random | None, is_complete: bool, start: Path, target: Path) -> None:
        """Make the folder that is found after the cut: all, only what is certain, or anything between the two."""
        names = dict(self.names if is_complete else self.synced_names)
        if rng is not None:
            for name in {*self.names, *self.synced_names}:
                side = self.names if rng.random() < 0.5 else self.synced_names
                names.pop(name, None)
                if name in side:
                    names[name] = side[name]
        target.mkdir()
        for name, file in sorted(names.items()):
            place = target / os.path.relpath(name, start)
            if not place.parent.is_dir():
                continue  # its folder is not there
            if file < 0:
                place.mkdir()
                continue
            now, synced = bytes(self.content[file]), self.synced[file]
            data = now if is_complete else synced
            if rng is not None and now != synced and now.startswith(synced):
                data = now[: rng.randint(len(synced), len(now))]
            place.write_bytes(data)


def states(ops: list[Op], start: Path, work: Path, count: int, rng: random.Random) -> Iterator[tuple[float, str, Path]]:
    """Folders as they may be found after a power cut, each removed when the next one is asked for.

    Args:
        ops: What was recorded.
        start: The folder as it was when the recording began, at the path that was recorded.
        work: A folder for the states.
        count: How many moments are looked at, the last one among them.
        rng: Chooses them.

    Yields:
        When the power was cut, how, and the folder.
    """
    disk = _Disk(start)
    moments = {len(ops) - 1, *(rng.randrange(len(ops)) for _ in range(count - 1))} if ops else set()
    for place, op in enumerate(ops):
        disk.do(op)
        if place not in moments:
            continue
        for name, chance, is_complete in (("certain", None, False), ("complete", None, True), ("mixed", rng, False)):
            target = work / f"{place}-{name}"
            disk.write(chance, is_complete, start, target)
            yield op.at_s, name, target
            shutil.rmtree(target)
