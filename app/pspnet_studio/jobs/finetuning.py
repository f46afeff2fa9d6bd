"""A fine-tune in the torch lane, and what is left of one that was interrupted. Imports no torch before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pspnet_core.training import interrupted as interruption

if TYPE_CHECKING:
    from pspnet_core.project.project import Project

Mode = Literal["quick", "full"]

QUICK_SECONDS, FULL_SECONDS = 60, 1200
"""What a fine-tune may take when nothing else was chosen."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A fine-tune that is wanted.

    Attributes:
        seconds: What it may take in all; ``full`` ends before that when it does not get better any more.
        mode: ``quick`` goes on from the version in use, ``full`` starts from the base weights.
        resumes: Go on where the last one was interrupted; it then tells the rest.
    """

    seconds: float = QUICK_SECONDS
    mode: Mode = "quick"
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A fine-tune that came to no end, because the program or the computer did.

    Attributes:
        wish: To go on with it.
        step: Steps that are kept.
        num_steps: Steps that were planned; 0 when that is not known.
    """

    wish: Wish
    step: int = 0
    num_steps: int = 0


def fine_tune(project: Project, wish: Wish, seed: int, device: str) -> Iterator[Any]:
    """Events of a fine-tune, with Decided as the last. Raises: PspnetError."""
    from pspnet_core.training.finetune import finetune

    if wish.resumes:
        yield from finetune(project, resume=True, device=device)
    else:
        yield from finetune(project, seconds=wish.seconds, mode=wish.mode, seed=seed, device=device)


def find_interrupted(project: Project) -> Interrupted | None:
    """What is left of the last fine-tune of a project, unless that runs in another window; for the io lane."""
    run = interruption.interrupted(project)
    if run is None:
        return None
    step, num_steps = interruption.steps_done(project)
    return Interrupted(Wish(run.seconds or 0.0, run.mode, resumes=True), step, num_steps)


def discard_interrupted(project: Project) -> None:
    """Forget what is left of it, unless it has gone on in another window; for the io lane. Raises: StorageError."""
    if not interruption.is_running(project):
        interruption.discard(project)
