"""Earlier versions of ``project.json`` and of the masks, made before they are written over.

A backup costs nothing while it is made: what is written here never changes a file but replaces it, so the old one only
gets a second name. In one session at most one is made of each file in ten minutes, the first of them before the first
change. Clocks are not asked: backups are numbered.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pspnet_core.atomic import atomic_writer, make_folder, storage_error
from pspnet_core.errors import ClassMapError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.project.plane_files import mask_path, provenance_path
from pspnet_core.project.store import FILE_NAME, read_record_file, with_ids_of, write_record
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, ProvenanceMap

NUM_PROJECTS = 10
NUM_MASKS = 5
"""So many backups are kept, of the project file and of each mask,"""

BUDGET_BYTES = 1024**3
"""and so many bytes of all masks; the oldest go."""

EVERY_S = 600.0

ASIDE = ".aside"
"""Is put behind the name of a damaged file in whose place a backup came."""

_PROVENANCE = ".provenance"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EXDEV)


@dataclass(frozen=True, slots=True)
class Backup:
    """An earlier version of a file.

    Attributes:
        number: A larger one is newer.
        path: Of the file.
        written_s: When its content was written, seconds since 1970, by the clock of then.
        size: In bytes.
    """

    number: int
    path: Path
    written_s: float
    size: int


class Backups:
    """The backups of a project. Threads may share it.

    Args:
        folder: The project's own folder; nothing is made in it before the first backup.
        clock: Seconds, only ever forward.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.RLock()
        self._made_s: dict[Path, float] = {}
        self._total: int | None = None  # bytes of all backups of masks

    # --- making

    def keep_project(self) -> None:
        """To be called before ``project.json`` is written. Raises: StorageError (nothing may be written over then)."""
        with self._lock:
            self._keep(self._folder / FILE_NAME, self._projects, NUM_PROJECTS, is_forced=False)

    def keep_mask(self, key: str, is_forced: bool = False) -> None:
        """To be called before the masks of an item are written.

        Args:
            key: Of the item.
            is_forced: Whether it is kept although one was made a short time ago.

        Raises:
            StorageError: It could not be made; nothing may be written over then.
        """
        with self._lock:
            folder = self._masks(key)
            made = self._keep(
                mask_path(self._folder, key), folder, NUM_MASKS, is_forced, provenance_path(self._folder, key)
            )
            if made:
                self._total = made + (
                    self._total if self._total is not None else _bytes_below(self._folder / "backups" / "masks")
                )
                if self._total > BUDGET_BYTES:
                    self._prune()

    # --- looking

    def projects(self) -> list[Backup]:
        """Those of the project file, the newest first."""
        return _backups(self._projects, ".json")

    def masks(self, key: str) -> list[Backup]:
        """Those of the masks of an item, the newest first."""
        return _backups(self._masks(key), ".png")

    def read_mask(self, backup: Backup) -> tuple[ClassMap, ProvenanceMap]:
        """Both planes of a backup of :meth:`masks`, (H, W) uint8 each, owned by the caller.

        Raises:
            ClassMapError: A file is damaged.
        """
        class_map = read_class_map(backup.path)
        path = _provenance_of(backup.path)
        if path.exists():
            provenance = read_class_map(path)
        else:
            provenance = (class_map != UNLABELLED).astype("uint8") * int(Provenance.PAINTED)
        if provenance.shape != class_map.shape:
            raise ClassMapError(
                f"The backup {backup.path.name} is damaged.", f"{path} does not fit.", "Take another one."
            )
        return class_map, provenance

    # --- putting back

    def restore_project(self, backup: Backup) -> None:
        """Put a backup in the place of ``project.json``; what is there is kept beside it.

        Ids that were given since are given to no other class: see :func:`with_ids_of`.

        Raises:
            ProjectError: The backup itself is damaged.
            StorageError: It could not be written.
        """
        record, target = read_record_file(backup.path), self._folder / FILE_NAME
        newer = [target, *(one.path for one in self.projects() if one.number > backup.number)]
        with self._lock:
            data = with_ids_of(record, newer)
            try:
                if target.exists():
                    _keep_aside(target)
            except OSError as error:
                raise storage_error(target, error) from error
            write_record(self._folder, data)

    def restore_mask(self, key: str, backup: Backup) -> None:
        """Put a backup in the place of the masks of an item that cannot be read; what is there is kept beside them.

        Raises:
            ClassMapError: The backup itself is damaged.
            StorageError: It could not be written.
        """
        self.read_mask(backup)
        with self._lock:
            # The mask comes last: as long as it is damaged the item is blocked.
            provenance = _provenance_of(backup.path)
            self._put_back(provenance if provenance.exists() else None, provenance_path(self._folder, key))
            self._put_back(backup.path, mask_path(self._folder, key))

    # --- inside; the lock is held

    @property
    def _projects(self) -> Path:
        return self._folder / "backups" / "project"

    def _masks(self, key: str) -> Path:
        return self._folder / "backups" / "masks" / key

    def _keep(self, path: Path, folder: Path, num: int, is_forced: bool, beside: Path | None = None) -> int:
        """Give a file a second name in ``folder`` if it is due; the bytes of what was made."""
        now_s, made_s = self._clock(), self._made_s.get(path)
        if not path.exists() or (made_s is not None and now_s - made_s < EVERY_S and not is_forced):
            return 0
        suffix, found = path.suffix, _backups(folder, path.suffix)
        try:
            if found and _is_same(found[0].path, path):
                self._made_s[path] = now_s
                return 0
            make_folder(folder)
            target = folder / f"{found[0].number + 1 if found else 1:06d}{suffix}"
            if beside is not None and beside.exists():
                _link_or_copy(beside, _provenance_of(target))
            _link_or_copy(path, target)
            for old in found[num - 1 :]:
                _remove(old.path)
            self._made_s[path] = now_s
            return target.stat().st_size
        except OSError as error:
            raise storage_error(folder, error) from error

    def _put_back(self, source: Path | None, target: Path) -> None:
        """Let ``source``, or nothing, be at ``target``; a failure leaves there what was there."""
        try:
            if target.exists():
                _keep_aside(target)
            if source is None:
                target.unlink(missing_ok=True)
                return
            with open(source, "rb") as stream, atomic_writer(target) as out:
                shutil.copyfileobj(stream, out)
        except OSError as error:
            raise storage_error(target, error) from error

    def _prune(self) -> None:
        """Let the oldest go until they are well within the budget."""
        found = []
        for place, _, names in os.walk(self._folder / "backups" / "masks"):
            for name in names:
                with suppress(OSError):  # gone just now
                    status = (Path(place) / name).stat()
                    found.append((status.st_mtime_ns, status.st_size, Path(place) / name))
        self._total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if self._total <= BUDGET_BYTES * 3 // 4:
                return
            with suppress(OSError):  # it stays, then: others go
                path.unlink()
                self._total -= size


def describe_project(backup: Backup) -> dict[str, int]:
    """What a backup of the project file holds: numbers of classes, images with a status, and images done.

    Raises:
        ProjectError: It is damaged.
    """
    record = read_record_file(backup.path)
    states = list(record.states.values())
    return {
        "classes": 0 if record.classes is None else len(record.classes.indices),
        "images": len(states),
        "done": sum(state.status == "done" for state in states),
    }


def _backups(folder: Path, suffix: str) -> list[Backup]:
    found = []
    with suppress(OSError):  # there are none
        for path in folder.iterdir():
            if path.suffix == suffix and path.stem.isdecimal():
                with suppress(OSError):
                    status = path.stat()
                    found.append(Backup(int(path.stem), path, status.st_mtime, status.st_size))
    return sorted(found, key=lambda backup: backup.number, reverse=True)


def _provenance_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}{_PROVENANCE}{path.suffix}")


def _is_same(first: Path, second: Path) -> bool:
    """Whether two files are one, or hold the same."""
    if os.path.samefile(first, second):
        return True
    return first.stat().st_size == second.stat().st_size and first.read_bytes() == second.read_bytes()


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with open(source, "rb") as stream, atomic_writer(target) as out:
            shutil.copyfileobj(stream, out)


def _keep_aside(path: Path) -> None:
    """Give a file a second name that nothing has; none where it has one, from an attempt that failed."""
    kept, count = path.with_name(path.name + ASIDE), 1
    while kept.exists():
        if _is_same(kept, path):
            return
        count += 1
        kept = path.with_name(f"{path.name}.{count}{ASIDE}")
    _link_or_copy(path, kept)


def _remove(path: Path) -> None:
    for one in (path, _provenance_of(path)):
        one.unlink(missing_ok=True)


def _bytes_below(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total
