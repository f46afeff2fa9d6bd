"""What training reports while it runs: small, frozen, and a line of JSON each. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.training.versions import Version


_T = TypeVar("_T")


class FinishEarly(Exception):  # noqa: N818 - a request, not an error
    """Thrown into a running generator (``gen.throw(FinishEarly())``): stop now and keep what was learned."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Sign of life of the current phase.

    Attributes:
        name: ``read``, ``train``, ``evaluate`` or ``compare``.
        fraction: Done share of the phase, 0 to 1.
    """

    name: str
    fraction: float

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"event": "phase", "name": self.name, "fraction": round(self.fraction, 4)}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser.

    Attributes:
        step: Steps done.
        num_steps: Steps in all; with a time budget an estimate from the speed so far.
        loss: Of the main output in this step.
        elapsed_s: Since the start.
        eta_s: Until the end.
    """

    step: int
    num_steps: int
    loss: float
    elapsed_s: float
    eta_s: float

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "event": "step",
            "step": self.step,
            "num_steps": self.num_steps,
            "loss": round(self.loss, 5),
            "elapsed_s": round(self.elapsed_s, 2),
            "eta_s": round(self.eta_s, 2),
        }


@dataclass(frozen=True, slots=True)
class Planned:
    """How long training will take; fixed after the first steps, whose speed was measured.

    Attributes:
        steps: In all. With these, the same seed and the same data give the same losses.
        seconds: From the start to the last event, as far as one can tell.
    """

    steps: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"event": "planned", "steps": self.steps, "seconds": round(self.seconds, 2)}


@dataclass(frozen=True, slots=True)
class Resumed:
    """Training goes on where it was interrupted.

    Attributes:
        step: Steps done before.
    """

    step: int

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"event": "resumed", "step": self.step}


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Something went wrong, and training goes on in another way.

    Attributes:
        what: ``memory`` (smaller parts of a batch, or smaller crops), ``rate`` (rolled back, lower learning rate),
            ``state`` (the kept state was of no use, or could not be kept), or ``data`` (an image was left out).
        detail: In words, for people.
    """

    what: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"event": "adjusted", "what": self.what, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Scores on held-out pixels.

    Attributes:
        step: Steps done.
        mean_iou: 0 to 1; NaN when no held-out pixel is labelled.
        iou: Class id -> IoU of the classes that occur.
    """

    step: int
    mean_iou: float
    iou: dict[int, float]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "event": "evaluated",
            "step": self.step,
            "mean_iou": rounded(self.mean_iou),
            "iou": {str(i): rounded(v) for i, v in self.iou.items()},
        }


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of ``fit``.

    Attributes:
        checkpoint: The result, its model in evaluation mode.
        metrics: As in the checkpoint: steps, seconds, and the held-out scores where there are any.
        train_keys: Of the images that were read and learned from: all, or those that fitted into the time.
    """

    checkpoint: Checkpoint
    metrics: dict[str, Any]
    train_keys: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary without the weights."""
        return {"event": "finished", "checkpoint": self.checkpoint.id, "metrics": self.metrics}


@dataclass(frozen=True, slots=True)
class Decided:
    """The last event of ``finetune``.

    Attributes:
        version: The new version, kept whether adopted or not.
        adopted: Whether it is the current version now.
        mean_iou: Of the new version on held-out pixels; None without evidence.
        old_mean_iou: Of the version that was current, on the same pixels and the same classes; None without one.
        reason: In words, for people.
        interval: 95 % interval of the difference of the two scores, new - old; None when it could not be told.
        per_class: Class id -> IoU of the old and of the new version; None for one that does not know the class.
    """

    version: Version
    adopted: bool
    mean_iou: float | None
    old_mean_iou: float | None
    reason: str
    interval: tuple[float, float] | None = None
    per_class: Mapping[int, tuple[float | None, float | None]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "event": "decided",
            "version": self.version.number,
            "adopted": self.adopted,
            "mean_iou": rounded(self.mean_iou),
            "old_mean_iou": rounded(self.old_mean_iou),
            "reason": self.reason,
            "interval": None if self.interval is None else [rounded(bound) for bound in self.interval],
            "per_class": {str(i): [rounded(old), rounded(new)] for i, (old, new) in self.per_class.items()},
        }


TrainEvent = Phase | Planned | Resumed | Adjusted | Step | Evaluated | Finished


def insisting(events: Generator[TrainEvent, None, _T]) -> Generator[TrainEvent, None, _T]:
    """Run ``events`` to their end, also when asked to finish early: for what is short, and decides."""
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            value: _T = stop.value
            return value
        try:
            yield event
        except FinishEarly:
            yield event


def rounded(value: float | None) -> float | None:
    """Four digits; None for None and NaN, which JSON does not know."""
    return None if value is None or math.isnan(value) else round(value, 4)
