"""A fine-tune that did not come to its end, and can go on from where it was. Needs no torch."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pspnet_core.atomic import storage_error, write_json
from pspnet_core.errors import StorageError, TrainingError
from pspnet_core.file_lock import file_lock
from pspnet_core.training.start import SETTING, Start

if TYPE_CHECKING:
    from pspnet_core.project.project import Project

FOLDER = "training"
"""In a project's own folder: what runs need to remember."""

STATE_KEY = "pspnet_studio_run"
"""In the metadata of a state: what it is of."""

_MOST_HEADER_BYTES = 16 << 20
_RUN, _STATE, _LOCK = "run.json", "state.safetensors", "run.lock"
_TRIES, _TRY_S = 10, 0.02  # who only looks whether one runs has the lock for a moment


@dataclass(frozen=True, slots=True)
class InterruptedRun:
    """What a fine-tune was told when it began.

    Attributes:
        mode: ``quick`` or ``full``.
        seconds: Its time; None when it counted steps.
        steps: Its number of steps; None when it counted seconds.
        seed: Of weights, crops and dropout.
        start: What the base weights are.
        parent: Number of the version that it started from; None for the base weights.
        created: When it began, ISO 8601.
    """

    mode: Literal["quick", "full"]
    seconds: float | None
    steps: int | None
    seed: int
    start: Start
    parent: int | None
    created: str

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "mode": self.mode,
            "seconds": self.seconds,
            "steps": self.steps,
            "seed": self.seed,
            "start": self.start.to_json(),
            "parent": self.parent,
            "created": self.created,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> InterruptedRun:
        """Inverse of :meth:`to_json`. Raises: ValueError, TypeError or KeyError for something else."""
        seconds, steps, parent = data["seconds"], data["steps"], data["parent"]
        if data["mode"] not in ("quick", "full"):
            raise ValueError(f"unknown mode {data['mode']!r}")
        return InterruptedRun(
            data["mode"],
            None if seconds is None else float(seconds),
            None if steps is None else int(steps),
            int(data["seed"]),
            Start.of({SETTING: data["start"]}),
            None if parent is None else int(parent),
            str(data["created"]),
        )


def state_file(project: Project) -> Path:
    """Where a running fine-tune keeps its state."""
    return project.folder / FOLDER / _STATE


@contextmanager
def running(project: Project) -> Iterator[None]:
    """Goes around a fine-tune: there is one at a time of a project, also where several windows have it open.

    Raises:
        TrainingError: Another one runs.
        StorageError: The project cannot be written.
    """
    path = project.folder / FOLDER / _LOCK
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for count in range(_TRIES):
                if stack.enter_context(file_lock(path)):
                    break
                if count + 1 == _TRIES:
                    raise TrainingError(
                        "A fine-tune of this project runs in another window.",
                        "Two at a time would write over each other.",
                        "Wait for its end, or cancel it there.",
                    )
                time.sleep(_TRY_S)
        except OSError as error:
            raise storage_error(path, error) from error
        yield


def is_running(project: Project) -> bool:
    """Whether a fine-tune of this project runs, here or in another window."""
    path = project.folder / FOLDER / _LOCK
    try:
        if not path.exists():
            return False
        with file_lock(path) as is_ours:
            return not is_ours
    except OSError:  # it may not be written, so nobody here can go on with anything
        return True


def interrupted(project: Project) -> InterruptedRun | None:
    """The fine-tune of this project that was interrupted after it had kept some state; None when there is none."""
    return None if is_running(project) else left_behind(project)


def left_behind(project: Project) -> InterruptedRun | None:
    """As :func:`interrupted`, for who holds :func:`running`; else it may be of one that runs."""
    if not state_file(project).is_file():
        return None
    try:
        return InterruptedRun.from_json(json.loads((project.folder / FOLDER / _RUN).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def steps_done(project: Project) -> tuple[int, int]:
    """Steps that an interrupted fine-tune did, and those that were planned; 0 where that is not known.

    Only the header of the state is read, so that a window may ask before torch is there.
    """
    try:
        with state_file(project).open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(size, _MOST_HEADER_BYTES)))
        course = json.loads(header["__metadata__"][STATE_KEY])["course"]
        return int(course["step"]), int(course["planned_steps"] or 0)
    except (OSError, struct.error, ValueError, TypeError, KeyError):
        return 0, 0


def note_run(project: Project, run: InterruptedRun) -> None:
    """Write down what a fine-tune was told. Raises: StorageError."""
    write_json(project.folder / FOLDER / _RUN, run.to_json())


def discard(project: Project) -> None:
    """Forget an interrupted fine-tune: it is done, or nobody wants it any more. Raises: StorageError."""
    for path in (project.folder / FOLDER / _RUN, state_file(project)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                "The state of a fine-tune could not be deleted.", f"{path}: {error.strerror}.", "Delete it by hand."
            ) from error
