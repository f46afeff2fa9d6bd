"""Fine-tuning in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pspnet_core.errors import PspnetError
from pspnet_studio.messages import tr


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fine-tune, as it is shown."""

    icon: str
    title: str
    detail: str


def duration_text(seconds: int) -> str:
    """A time budget in words."""
    if seconds % 60:
        return tr("{number} seconds").format(number=seconds)
    if seconds == 60:
        return tr("1 minute")
    return tr("{number} minutes").format(number=seconds // 60)


def time_left_text(seconds: float) -> str:
    """An estimate in words, no more exact than it is."""
    if seconds < 5:
        return tr("a few seconds left")
    if seconds < 57.5:
        return tr("about {number} s left").format(number=5 * round(seconds / 5))
    minutes, rest = divmod(10 * round(seconds / 10), 60)
    if rest and minutes < 10:
        return tr("about {minutes} min {seconds} s left").format(minutes=minutes, seconds=rest)
    return tr("about {minutes} min left").format(minutes=round(seconds / 60))


def phase_text(name: str) -> str:
    """A phase of the fine-tune in words; an unknown one by its own name."""
    known = {
        "read": tr("Reading images"),
        "train": tr("Training"),
        "evaluate": tr("Checking on held-out areas"),
        "compare": tr("Comparing versions"),
    }
    return known.get(name, name[:1].upper() + name[1:])


def outcome_words(outcome: Any, current_version: int | None) -> Outcome:
    """How a fine-tune ended.

    Args:
        outcome: Decided, a PspnetError, or None when it was cancelled.
        current_version: Number of the version that predicts now.
    """
    if outcome is None:
        return Outcome("info", tr("Cancelled."), tr("Nothing was changed."))
    if isinstance(outcome, PspnetError):
        still = tr("Version {number} works as before.").format(number=current_version) if current_version else ""
        return Outcome("warning", outcome.title, " ".join(p for p in (outcome.detail, outcome.remedy, still) if p))
    number = outcome.version.number
    if not outcome.adopted:
        title = tr("Version {number} is kept back: it is not better than the one in use.")
        return Outcome("info", title.format(number=number), _before_after(outcome))
    if outcome.mean_iou is None:
        return Outcome(
            "done",
            tr("Version {number} is in use. No evidence yet.").format(number=number),
            tr("Mark images as done, or label areas before you look at a prediction: then versions can be compared."),
        )
    if outcome.old_mean_iou is None:
        return Outcome("done", tr("Version {number} is in use.").format(number=number), _before_after(outcome))
    return Outcome("done", tr("Version {number} is better and in use.").format(number=number), _before_after(outcome))


def _before_after(outcome: Any) -> str:
    if outcome.mean_iou is None:
        return str(outcome.reason)
    if outcome.old_mean_iou is None:
        return str(outcome.reason)  # says why nothing could be compared
    before, after = f"{outcome.old_mean_iou:.2f}", f"{outcome.mean_iou:.2f}"
    if before == after:  # "better" with twice the same number would be a riddle
        before, after = f"{outcome.old_mean_iou:.4f}", f"{outcome.mean_iou:.4f}"
    return tr("mIoU on held-out areas: {before} before, {after} now.").format(before=before, after=after)
