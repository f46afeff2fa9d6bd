"""One-click fine-tuning of a project: collect, hold out, train, compare, decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pspnet_core.classes import ClassSet
from pspnet_core.devices import is_out_of_memory, out_of_memory, resolve_device, set_threads
from pspnet_core.errors import CheckpointError, TrainingError
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.project.project import Project
from pspnet_core.training.collection import Collection, collect
from pspnet_core.training.comparison import Comparison, Scores, unlearned_only
from pspnet_core.training.config import Recipe, TrainConfig, network_for
from pspnet_core.training.events import Decided, FinishEarly, Finished, TrainEvent, insisting
from pspnet_core.training.exposure import Exposure, learned_also, merged
from pspnet_core.training.loop import NOTHING_LEARNED, train
from pspnet_core.training.start import Start
from pspnet_core.training.versions import VersionStore

_COMPARE_SHARE = 0.04  # of the time, for scoring one version


def finetune(
    project: Project,
    seconds: float,
    seed: int = 0,
    device: str = "auto",
    num_threads: int | None = None,
    recipe: Recipe | None = None,
    start: Start | None = None,
) -> Iterator[TrainEvent | Decided]:
    """Train a new version of ``project`` from all that is labelled, and adopt it if it is better.

    It starts anew, with all labels, so that nothing wrong is carried along. Items of split test and
    skipped ones take no part; those of split val, or else items or blocks by the evidence rule, are held out. Pixels
    painted meanwhile may or may not take part. Both versions are scored on pixels that neither learned from; where none
    is left, the new one is adopted without evidence. :class:`FinishEarly` keeps what was learned so far.

    Args:
        project: With its labels saved.
        seconds: Wall time for everything.
        seed: Of weights, crops and dropout.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        num_threads: Torch threads of the calling thread; None leaves them as they are.
        recipe: How to learn.
        start: What to start with; what the settings of the project say when not given.

    Yields:
        Events of :func:`fit`, and :class:`Decided` as the last.

    Raises:
        TrainingError: Nothing is labelled, an image cannot be read (it is named), or training broke down.
        DeviceError: The device is not there, or memory ran out.
        CheckpointError: The ImageNet weights, or the imported version, are missing or damaged.
        StorageError: The version could not be written.
    """
    set_threads(num_threads)
    configure = partial(TrainConfig, seed=seed, device=device, recipe=recipe)
    start = start or Start.of(project.settings)
    try:
        yield (yield from _finetune(project, seconds, device, start, configure))
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(resolve_device(device), "fine-tuning") from error
        raise


def _finetune(
    project: Project, seconds: float, device: str, start: Start, configure: Callable[..., TrainConfig]
) -> Generator[TrainEvent, None, Decided]:
    """As :func:`finetune`; ``configure`` makes the configuration out of data, what to start with, and time."""
    start_s = time.monotonic()
    store = VersionStore(project.folder / "versions")
    current = _current(store)
    try:
        parent = _parent(start, store)
        data = yield from collect(project, merged(_exposures(store)))
        _keep_unlearned(data, parent)
        comparison = _comparison(current, data, device)
        if comparison is not None:
            yield from comparison.score_old(start_s + _COMPARE_SHARE * seconds)
    except FinishEarly:
        raise TrainingError(*NOTHING_LEARNED) from None
    later_s = comparison.cost_s if comparison is not None else 0.0
    config = configure(
        train=data.train,
        holdout=data.holdout,
        classes=data.classes,
        **_initial(start, parent, data.classes),
        seconds=max(1.0, seconds - (time.monotonic() - start_s) - later_s),
        origin={
            "init": start.to_json(),
            "project": project.uuid,
            "projects": learned_also(parent.checkpoint.origin if parent.checkpoint else None, project.uuid),
            "holdout": data.rule,
        },
    )
    finished = yield from train(config)
    scores: Scores = None, None
    if comparison is not None:
        scores = yield from insisting(comparison.score_new(finished.checkpoint))
    return _decide(store, finished, data, scores, current, parent)


@dataclass(frozen=True)
class _Parent:
    """What the new version starts from.

    Attributes:
        number: Of a version; None when it starts from ImageNet.
        checkpoint: Of that version.
        exposure: What was learned from in this project before; None when the record of the version does not tell.
    """

    number: int | None = None
    checkpoint: Checkpoint | None = None
    exposure: Exposure | None = field(default_factory=Exposure)


def _parent(start: Start, store: VersionStore) -> _Parent:
    """Raises: CheckpointError."""
    if start.version is None:
        return _Parent()
    return _Parent(start.version, store.load(start.version), _exposure_of(start.version, store))


def _keep_unlearned(data: Collection, parent: _Parent) -> None:
    """Take out of the hold-out what was learned from before the fine-tune began."""
    if parent.exposure is None:
        data.holdout = []
    elif parent.exposure.trained:
        data.holdout = unlearned_only(data.holdout, data.classes.indices, parent.exposure)
    if not data.holdout:
        data.rule = "none"


def _initial(start: Start, parent: _Parent, classes: ClassSet) -> dict[str, Any]:
    """Network and weights to start with, as arguments of :class:`TrainConfig`."""
    if parent.checkpoint is not None:
        return {"init": parent.checkpoint}
    return {"model": network_for(start.backbone, len(classes)), "weights": start.file}


@dataclass(frozen=True)
class _Current:
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


def _current(store: VersionStore) -> _Current:
    number = store.current
    if number is None:
        return _Current()
    try:
        return _Current(number, store.load(number), _exposure_of(number, store))
    except CheckpointError as error:
        return _Current(number, trouble=error.title)


def _exposure_of(number: int, store: VersionStore) -> Exposure | None:
    """What a version learned from; None when its record does not tell."""
    return next((Exposure.from_json(v.record) for v in store.list() if v.number == number), None)


def _exposures(store: VersionStore) -> Iterator[Exposure]:
    for version in store.list():
        exposure = Exposure.from_json(version.record)
        if exposure is not None:
            yield exposure


def _comparison(current: _Current, data: Collection, device: str) -> Comparison | None:
    if current.checkpoint is None or current.exposure is None:
        return None
    return Comparison(current.checkpoint, current.exposure, data.holdout, data.classes, device)


def _decide(
    store: VersionStore, finished: Finished, data: Collection, scores: Scores, current: _Current, parent: _Parent
) -> Decided:
    """Write the version, and adopt it unless the current one is as good."""
    mean_iou, old_mean_iou = scores
    is_compared = mean_iou is not None and old_mean_iou is not None
    if not is_compared:
        mean_iou, old_mean_iou = finished.metrics.get("mean_iou"), None
    adopted = mean_iou is None or old_mean_iou is None or mean_iou > old_mean_iou
    reason = _reason(data, finished, (mean_iou, old_mean_iou), current, parent)
    exposure = Exposure(frozenset(finished.train_keys), data.held_items, data.held_blocks)
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": finished.checkpoint.id,
        "num_images": data.num_images,
        "mean_iou": mean_iou,
        "old_mean_iou": old_mean_iou,
        "compared_with": current.number if is_compared else None,
        "adopted": adopted,
        "reason": reason,
        "holdout": data.rule,
        "holdout_items": sorted({image.key for image in data.holdout}),
        # Without this it is never compared: what it started from may have learned from any pixel.
        **({} if parent.exposure is None else exposure.after(parent.exposure).to_json()),
        "classes": finished.checkpoint.classes.to_json()["classes"],
        "metrics": finished.metrics,
    }
    version = store.add(finished.checkpoint, record)
    if adopted:
        store.set_current(version.number)
    return Decided(version, adopted, mean_iou, old_mean_iou, reason)


def _reason(data: Collection, finished: Finished, scores: Scores, current: _Current, parent: _Parent) -> str:
    """The decision in words."""
    mean_iou, old_mean_iou = scores
    score = "" if mean_iou is None else f"Mean IoU {mean_iou:.3f} on held-out pixels"
    if mean_iou is None and parent.exposure is None:
        text = f"No evidence yet: it is not known what version {parent.number}, which it started from, learned from."
    elif mean_iou is None:
        text = "No evidence yet: nothing could be held out to measure on."
    elif current.number is None:
        text = f"{score}; there was no version to compare with."
    elif old_mean_iou is not None:
        text = f"{score}, {old_mean_iou:.3f} before"
        assert current.checkpoint is not None
        new = [c.name for c in data.classes if c.index not in current.checkpoint.classes]
        text += f", on the classes that both know; new: {', '.join(new)}." if new else "."
        text += "" if mean_iou > old_mean_iou else " The current version stays."
    elif current.trouble:
        text = f"{score}."
    elif current.exposure is None:
        text = f"{score}. No evidence yet that it is better: "
        text += f"it is not known what version {current.number} learned from."
    else:
        text = f"{score}. No evidence yet that it is better: "
        text += f"no pixel is left to compare on that version {current.number} did not learn from."
    if current.trouble:
        text += f" Version {current.number} could not be read, so nothing was compared with it: {current.trouble}"
    if data.unread:
        text += f" Left out, because they could not be read: {', '.join(data.unread[:3])}"
        text += f" and {len(data.unread) - 3} more." if len(data.unread) > 3 else "."
    read, offered = len(finished.train_keys), len(data.train)
    return text if read == offered else f"{text} {read} of {offered} labelled images fitted into the time."
