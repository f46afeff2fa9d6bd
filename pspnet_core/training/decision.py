"""A new version written down, with what speaks for it, and adopted or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pspnet_core.classes import ClassSet
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.training.collection import Collection
from pspnet_core.training.config import TrainConfig
from pspnet_core.training.continuous import Labels
from pspnet_core.training.events import Decided, Finished, rounded
from pspnet_core.training.evidence import Evidence
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.versions import VersionStore

_SHOWN = 3  # names in a text


@dataclass(frozen=True)
class Current:
    """The version in use.

    Attributes:
        number: None when none is.
        checkpoint: None, too, when it could not be read.
        exposure: What it learned from; None when its record does not tell.
        trouble: Why it could not be read.
    """

    number: int | None = None
    checkpoint: Checkpoint | None = None
    exposure: Exposure | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Parent:
    """What the new version starts from.

    Attributes:
        number: Of a version; None when it starts from the ImageNet weights.
        checkpoint: Of that version.
        exposure: What was learned from in this project before; None when the record of the version does not tell.
    """

    number: int | None = None
    checkpoint: Checkpoint | None = None
    exposure: Exposure | None = field(default_factory=Exposure)


@dataclass(frozen=True)
class Result:
    """All that a decision rests on.

    Attributes:
        finished: What training came to.
        config: What it was told.
        data: What it learned from.
        evidence: The comparison with the version in use; None when there was nothing to compare on.
        current: The version in use.
        parent: What it started from.
        seconds: Of the whole fine-tune, as it was told; None when it counted steps.
        labels: How the labels stood.
    """

    finished: Finished
    config: TrainConfig
    data: Collection
    evidence: Evidence | None
    current: Current
    parent: Parent
    seconds: float | None
    labels: Labels

    @property
    def exposure(self) -> Exposure | None:
        """What the new version and those that it came from learned from; None when that is not known."""
        if self.parent.exposure is None:
            return None
        own = Exposure(frozenset(self.finished.train_keys), self.data.held_items, self.data.held_blocks)
        return own.after(self.parent.exposure)

    @property
    def same_classes(self) -> bool:
        """Whether the version in use knows the same classes."""
        old = self.current.checkpoint
        return old is not None and set(old.classes.indices) == set(self.data.classes.indices)


def decide(store: VersionStore, result: Result) -> Decided:
    """Write the version, and let it take the place of the current one unless that is as good.

    Raises:
        StorageError: It could not be written.
    """
    evidence, finished = result.evidence, result.finished
    mean_iou = evidence.mean_iou if evidence else finished.metrics.get("mean_iou")
    old_mean_iou = evidence.old_mean_iou if evidence else None
    adopted = evidence is None or evidence.is_enough(result.same_classes)
    reason = reason_of(result, mean_iou)
    per_class = _per_class(result)
    version = store.add(finished.checkpoint, _record(result, mean_iou, adopted, reason, per_class))
    if adopted:
        store.set_current(version.number)
    interval = evidence.interval if evidence else None
    return Decided(version, adopted, rounded(mean_iou), rounded(old_mean_iou), reason, interval, per_class)


def _record(
    result: Result,
    mean_iou: float | None,
    adopted: bool,
    reason: str,
    per_class: Mapping[int, tuple[float | None, float | None]],
) -> dict[str, Any]:
    evidence, finished, data, config = result.evidence, result.finished, result.data, result.config
    interval = evidence.interval if evidence else None
    exposure = result.exposure
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": finished.checkpoint.id,
        "mode": config.mode,
        "parent": result.parent.number,
        "seed": config.seed,
        "seconds": result.seconds,
        "steps": finished.metrics["steps"],
        "planned_steps": finished.metrics.get("planned_steps", finished.metrics["steps"]),
        "recipe": asdict(config.chosen_recipe),
        "num_images": data.num_images,
        "mean_iou": rounded(mean_iou),
        "old_mean_iou": rounded(evidence.old_mean_iou) if evidence else None,
        "interval": None if interval is None else [rounded(bound) for bound in interval],
        "chance": rounded(evidence.chance) if evidence else None,
        "evidence": _told(evidence) if evidence else None,
        "per_class": {str(i): [rounded(old), rounded(new)] for i, (old, new) in per_class.items()},
        "compared_with": result.current.number if evidence else None,
        "adopted": adopted,
        "reason": reason,
        "holdout": data.rule,
        "holdout_items": sorted({image.key for image in data.holdout}),
        # Without this it is never compared: what it started from may have learned from any pixel.
        **({} if exposure is None else exposure.to_json()),
        "classes": finished.checkpoint.classes.to_json()["classes"],
        "labels": result.labels,
        "metrics": finished.metrics,
    }


def _told(evidence: Evidence) -> dict[str, Any]:
    return {"unit": evidence.unit, "count": evidence.num_units, "unseen": evidence.is_of_unseen}


def _per_class(result: Result) -> dict[int, tuple[float | None, float | None]]:
    """IoU of the old and the new version; classes that the old one does not know come from the last evaluation."""
    found: dict[int, tuple[float | None, float | None]] = dict(result.evidence.per_class) if result.evidence else {}
    old = result.current.checkpoint if result.evidence else None
    for index, iou in result.finished.metrics.get("iou", {}).items():
        if old is None or int(index) not in old.classes:
            found.setdefault(int(index), (None, iou))
    return dict(sorted(found.items()))


def reason_of(result: Result, mean_iou: float | None) -> str:
    """The decision in words.

    Args:
        result: What it rests on.
        mean_iou: Of the new version; None when nothing could be measured.
    """
    current, evidence = result.current, result.evidence
    score = "" if mean_iou is None else f"Mean IoU {mean_iou:.3f} on held-out pixels"
    if mean_iou is None and result.parent.exposure is None:
        text = (
            f"No evidence yet: it started from version {result.parent.number}, and what that learned from is not known."
        )
    elif mean_iou is None:
        text = "No evidence yet: nothing could be held out to measure on."
    elif current.number is None:
        text = f"{score}; there was no version to compare with."
    elif evidence is not None:
        text = f"{score}, {evidence.old_mean_iou:.3f} before{_on_which(result)}. {_verdict(result, evidence)}"
    elif current.trouble:
        text = f"{score}."
    elif current.exposure is None:
        text = f"{score}. No evidence yet that it is better: "
        text += f"it is not known what version {current.number} learned from."
    else:
        text = f"{score}. No evidence yet that it is better: "
        text += f"no pixel is left to compare on that version {current.number} did not learn from."
    return " ".join([text, *_notes(result)])


def _on_which(result: Result) -> str:
    if result.same_classes:
        return ""
    assert result.current.checkpoint is not None
    old, new = result.current.checkpoint.classes, result.data.classes
    text = ", on the classes that both know"
    text += f"; new: {', '.join(added)}" if (added := _missing(new, old)) else ""
    return text + (f"; gone: {', '.join(gone)}" if (gone := _missing(old, new)) else "")


def _missing(classes: ClassSet, others: ClassSet) -> list[str]:
    """Names of the classes that are not among the others."""
    return [c.name for c in classes if c.index not in others]


def _verdict(result: Result, evidence: Evidence) -> str:
    """How sure the difference is, and what follows."""
    is_enough = evidence.is_enough(result.same_classes)
    text = "Too little is held out to tell how sure that is."
    if evidence.interval is not None:
        low, high = evidence.interval
        text = f"The difference is {evidence.difference:+.3f}; with other pixels it would lie between {low:+.3f} and "
        text += f"{high:+.3f} (95 %)."
    if not evidence.is_of_unseen:
        text += " Both learned from other places in these images, so that only a loss would show."
    if is_enough:
        return text
    if evidence.unlearned:
        names = [result.data.classes[index].name for index in evidence.unlearned]
        text += f" It has unlearned {', '.join(names)}."
    elif evidence.difference > 0:
        text += " That is too little to be sure that it is better."
    return f"{text} The current version stays."


def _notes(result: Result) -> list[str]:
    """What else a person should know."""
    notes, data, current = [], result.data, result.current
    if current.trouble:
        notes.append(f"Version {current.number} could not be read, so nothing was compared with it: {current.trouble}")
    if data.unread:
        notes.append(f"Left out, because they could not be read: {_listed(data.unread)}.")
    if data.too_like:
        notes.append(f"Left out, because they look like images that are measured on: {_listed(data.too_like)}.")
    read, offered = len(result.finished.train_keys), len(data.train)
    if read != offered:
        notes.append(f"{read} of {offered} labelled images fitted into the time.")
    return notes


def _listed(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
