"""The versions of a project: fine-tuned checkpoints with their evidence, and which of them is in use.

``<folder>/<n>/checkpoint.safetensors`` and ``version.json``; ``<folder>/current.json``. A version exists once its
``version.json`` does. Listing and choosing need no torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.atomic import atomic_writer, check_place, storage_error, write_json
from pspnet_core.errors import CheckpointError, StorageError

if TYPE_CHECKING:
    from pspnet_core.models.checkpoint import Checkpoint

_CHECKPOINT, _RECORD, _CURRENT = "checkpoint.safetensors", "version.json", "current.json"
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """One fine-tuned checkpoint.

    Attributes:
        number: From 1, never reused.
        path: Its checkpoint file.
        record: Its evidence, plain JSON values: ``created`` (ISO 8601), ``num_images``, ``mean_iou`` and others; empty
            when the record is damaged (the checkpoint may still be good).
    """

    number: int
    path: Path
    record: Mapping[str, Any]


class VersionStore:
    """All versions of one project. It keeps nothing in memory, so several may look at one folder.

    Args:
        folder: May not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)

    def add(self, checkpoint: Checkpoint, record: Mapping[str, Any]) -> Version:
        """Write a new version; the current one stays current. Raises: StorageError."""
        from pspnet_core.models.checkpoint import save_checkpoint

        number = self._reserve()
        path = self._folder / str(number) / _CHECKPOINT
        save_checkpoint(checkpoint, path)
        write_json(path.with_name(_RECORD), {"number": number, **record})
        return Version(number, path, {"number": number, **record})

    def remove(self, number: int) -> None:
        """Take a version away that nothing uses yet. Raises: StorageError."""
        assert number != self.current, "the version in use cannot be removed"
        folder = self._folder / str(number)
        try:
            (folder / _RECORD).unlink(missing_ok=True)  # then it is no version any more, whatever happens
            shutil.rmtree(folder)
        except OSError as error:
            raise StorageError(
                f"Version {number} could not be removed.", f"{folder}: {error.strerror}.", "Remove that folder by hand."
            ) from error

    def delete(self, number: int) -> None:
        """Delete a version for good; its number is not used again.

        Raises:
            CheckpointError: There is no such version, or it is the one in use.
            StorageError: It could not be removed.
        """
        if number == self.current:
            raise CheckpointError(
                f"Version {number} is in use.", "The version in use cannot be deleted.", "Use another version first."
            )
        folder = self._folder / str(number)
        if not (folder / _RECORD).is_file():
            raise _missing(number, self._folder)
        is_last = number == max(self._numbers())
        self.remove(number)
        if is_last:  # the empty folder keeps its number from being given again
            try:
                folder.mkdir()
            except OSError as error:
                raise storage_error(folder, error) from error

    def export(self, number: int, path: Path) -> None:
        """Copy the checkpoint of a version to a file, which then has all that is needed to use it.

        Raises:
            CheckpointError: There is no such version.
            StorageError: It could not be written; what was there before is intact.
        """
        source = self._folder / str(number) / _CHECKPOINT
        if not source.is_file():
            raise _missing(number, self._folder)
        check_place(path, [entry.path for entry in self.list()])
        with atomic_writer(path) as target, source.open("rb") as stream:
            shutil.copyfileobj(stream, target, _COPY_BYTES)

    def list(self) -> list[Version]:
        """All versions, oldest first."""
        folders = ((number, self._folder / str(number)) for number in self._numbers())
        return [Version(n, f / _CHECKPOINT, _read(f / _RECORD)) for n, f in folders if (f / _RECORD).is_file()]

    @property
    def current(self) -> int | None:
        """Number of the version in use; None when none is, or its file is gone."""
        number = _read(self._folder / _CURRENT).get("current")
        if not isinstance(number, int) or not (self._folder / str(number) / _CHECKPOINT).is_file():
            return None
        return number

    def set_current(self, number: int | None) -> None:
        """Use another version, or none.

        Raises:
            CheckpointError: There is no such version.
            StorageError: It could not be written down.
        """
        if number is not None and not (self._folder / str(number) / _CHECKPOINT).is_file():
            raise _missing(number, self._folder)
        write_json(self._folder / _CURRENT, {"current": number})

    def load(self, number: int) -> Checkpoint:
        """The checkpoint of a version. Raises: CheckpointError."""
        from pspnet_core.models.checkpoint import load_checkpoint

        path = self._folder / str(number) / _CHECKPOINT
        if not path.is_file():
            raise _missing(number, self._folder)
        return load_checkpoint(path)

    def _reserve(self) -> int:
        """A number that nobody else gets: its folder is made here, also where several processes add at once."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            number = max(self._numbers(), default=0) + 1
            while not _made(self._folder / str(number)):
                number += 1
        except OSError as error:
            raise storage_error(self._folder, error) from error
        return number

    def _numbers(self) -> tuple[int, ...]:
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(int(entry.name) for entry in self._folder.iterdir() if entry.name.isdecimal()))


def _made(folder: Path) -> bool:
    """Make a folder; False where there is one already. Raises: OSError."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty when the file is missing or damaged, because then the version files still speak."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _missing(number: int, folder: Path) -> CheckpointError:
    return CheckpointError(
        f"There is no version {number}.", f"{folder / str(number)} holds no checkpoint.", "Choose another version."
    )
