"""Fine-tuning in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QDate, QDateTime, QLocale, Qt

from pspnet_core.classes import ClassSet, Color
from pspnet_core.errors import PspnetError
from pspnet_core.training.events import Adjusted, Evaluated, Phase, Planned, Resumed
from pspnet_studio.messages import tr, tr_count

if TYPE_CHECKING:
    from pspnet_core.training.versions import Version
    from pspnet_studio.jobs.finetuning import Interrupted, Wish


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fine-tune, as it is shown."""

    icon: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClassChange:
    """How well one class is found before and after; None where it is not known."""

    name: str
    color: Color
    before: float | None
    after: float | None

    @property
    def change_text(self) -> str:
        """The difference in points of 0.01, with a sign that can be read without colours."""
        if self.before is None or self.after is None:
            return tr("new") if self.before is None else ""
        points = round(100 * self.after) - round(100 * self.before)
        return "=" if not points else f"▲ {points}" if points > 0 else f"▼ {-points}"


def duration_text(seconds: float) -> str:
    """A time budget in words."""
    seconds = round(seconds)
    if seconds % 60:
        return tr("{number} seconds").format(number=seconds)
    if seconds == 60:
        return tr("1 minute")
    return tr("{number} minutes").format(number=seconds // 60)


def mode_text(mode: str) -> str:
    """What a mode is called."""
    return {"quick": tr("Quick"), "full": tr("Full")}.get(mode, mode)


def wish_text(mode: str, seconds: float) -> str:
    """A mode with its time."""
    if mode == "full":
        return tr("Full: at most {duration}").format(duration=duration_text(seconds))
    return tr("Quick: {duration}").format(duration=duration_text(seconds))


def explanation(mode: str, seconds: float, has_version: bool) -> str:
    """What a mode means."""
    if mode == "full":
        text = tr("From the base weights until it stops improving, or {duration} at most.")
        return text.format(duration=duration_text(seconds))
    if has_version:
        return tr("Goes on from the version in use, with all corrections again.")
    return tr("The first one starts from the base weights.")


def waiting_text(wish: Wish) -> str:
    """What follows on the one that runs."""
    return tr("1 waiting ({wish})").format(wish=wish_text(wish.mode, wish.seconds))


def interrupted_text(found: Interrupted) -> str:
    """What could be gone on with."""
    if found.num_steps:
        text = tr("A fine-tune was interrupted after {step} of {total} steps.")
        return text.format(step=found.step, total=found.num_steps)
    return tr("A fine-tune was interrupted.")


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


def event_text(event: Any) -> str:
    """One line of the log about an event; empty for those that only say how far it is."""
    if isinstance(event, Phase):
        return phase_text(event.name) if event.fraction == 0 and event.name != "evaluate" else ""
    if isinstance(event, Planned):
        text = tr("{steps} steps are planned, in about {duration}.")
        seconds = 10 * max(1, round(event.seconds / 10))
        return text.format(
            steps=event.steps, duration=duration_text(seconds if seconds < 60 else 60 * round(seconds / 60))
        )
    if isinstance(event, Resumed):
        return tr("Going on after step {step}.").format(step=event.step)
    if isinstance(event, Adjusted):
        return _adjusted_text(event)
    if isinstance(event, Evaluated):
        if math.isnan(event.mean_iou):
            return tr("Step {step}: nothing held out is labelled.").format(step=event.step)
        return tr("Step {step}: mIoU {score} on held-out areas.").format(step=event.step, score=f"{event.mean_iou:.3f}")
    return ""


def _adjusted_text(event: Adjusted) -> str:
    known = {
        "memory": tr("Memory ran out, so it goes on with less at a time."),
        "rate": tr("It went astray, so it goes on from an earlier step, more slowly."),
        "state": tr("What was kept of this fine-tune is of no use any more, or could not be kept."),
        "time": tr("The computer was slower than expected, so it ends at the limit."),
    }
    return " ".join(part for part in (known.get(event.what, ""), event.detail) if part)


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
    if outcome.mean_iou <= outcome.old_mean_iou:  # where a gain could not show, not to lose is enough: the reason tells
        return Outcome("done", tr("Version {number} is in use.").format(number=number), str(outcome.reason))
    return Outcome("done", tr("Version {number} is better and in use.").format(number=number), _before_after(outcome))


def class_changes(outcome: Any, classes: ClassSet) -> list[ClassChange]:
    """What changed for each class, in the order of the classes; nothing where nothing was compared."""
    scores = getattr(outcome, "per_class", None) or {}
    return [ClassChange(c.name, c.color, *scores[c.index]) for c in classes if c.index in scores]


def _before_after(outcome: Any) -> str:
    if outcome.mean_iou is None:
        return str(outcome.reason)
    if outcome.old_mean_iou is None:
        return str(outcome.reason)  # says why nothing could be compared
    before, after = f"{outcome.old_mean_iou:.2f}", f"{outcome.mean_iou:.2f}"
    if before == after:  # "better" with twice the same number would be a riddle
        before, after = f"{outcome.old_mean_iou:.4f}", f"{outcome.mean_iou:.4f}"
    text = tr("mIoU on held-out areas: {before} before, {after} now.").format(before=before, after=after)
    if (interval := getattr(outcome, "interval", None)) is not None:
        low, high = (f"{bound:+.3f}".replace("-", "\N{MINUS SIGN}") for bound in interval)
        text += " " + tr("The change lies between {low} and {high} (95 %).").format(low=low, high=high)
    return text


# --- versions


def is_imported(version: Version) -> bool:
    """Whether a version came from elsewhere."""
    return "imported" in version.record


def version_line(version: Version) -> str:
    """When it was made, how, and from how many images: one short line."""
    record = version.record
    how = tr("imported") if is_imported(version) else mode_text(str(record.get("mode", ""))).lower()
    images = record.get("num_images")
    count = "" if not images or is_imported(version) else tr_count("{count} image", "{count} images", int(images))
    return " · ".join(part for part in (date_text(record.get("created")), how, count) if part)


def score_text(version: Version) -> str:
    """Its mIoU; a dash where there is no evidence."""
    mean_iou = version.record.get("mean_iou")
    return "–" if mean_iou is None else f"{mean_iou:.2f}"


def date_text(created: object) -> str:
    """The time of day for today, else the day."""
    date = date_of(created)
    if not date.isValid():
        return ""
    if date.date() == QDate.currentDate():
        return QLocale().toString(date.time(), QLocale.FormatType.ShortFormat)
    return QLocale().toString(date.date(), tr("d MMM yyyy"))


def date_of(created: object) -> QDateTime:
    """Local time of an ISO text; an invalid date for anything else."""
    if not isinstance(created, str):
        return QDateTime()
    return QDateTime.fromString(created, Qt.DateFormat.ISODate).toLocalTime()
