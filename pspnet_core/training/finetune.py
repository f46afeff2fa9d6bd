"""One-click fine-tuning of a project: collect, hold out, train, compare, decide."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from pspnet_core.devices import is_out_of_memory, out_of_memory, resolve_device, set_threads
from pspnet_core.errors import CheckpointError, TrainingError
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.project.project import Project
from pspnet_core.training.collection import Collection, collect
from pspnet_core.training.comparison import Comparison, Scores
from pspnet_core.training.config import Recipe, TrainConfig
from pspnet_core.training.events import Decided, FinishEarly, Finished, TrainEvent, insisting
from pspnet_core.training.loop import NOTHING_LEARNED, train
from pspnet_core.training.versions import VersionStore

_COMPARE_SHARE = 0.04  # of the time, for scoring one version


def finetune(
    project: Project,
    seconds: float,
    seed: int = 0,
    device: str = "auto",
    num_threads: int | None = None,
    recipe: Recipe | None = None,
) -> Iterator[TrainEvent | Decided]:
    """Train a new version of ``project`` from all that is labelled, and adopt it if it is better.

    It starts from ImageNet weights with all labels, so that nothing wrong is carried along. Items of split test and
    skipped ones take no part; those of split val, or else items or blocks by the evidence rule, are held out. Pixels
    painted meanwhile may or may not take part. :class:`FinishEarly` keeps what was learned so far.

    Args:
        project: With its labels saved.
        seconds: Wall time for everything.
        seed: Of weights, crops and dropout.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        num_threads: Torch threads of the calling thread; None leaves them as they are.
        recipe: How to learn.

    Yields:
        Events of :func:`fit`, and :class:`Decided` as the last.

    Raises:
        TrainingError: Nothing is labelled, an image cannot be read (it is named), or training broke down.
        DeviceError: The device is not there, or memory ran out.
        CheckpointError: The ImageNet weights are missing.
        StorageError: The version could not be written.
    """
    start = time.monotonic()
    set_threads(num_threads)
    store = VersionStore(project.folder / "versions")
    comparison = None
    try:
        try:
            data = yield from collect(project)
            old = _current(store)
            if old is not None and data.holdout:
                comparison = Comparison(old, data.holdout, data.classes, device)
                yield from comparison.score_old(start + _COMPARE_SHARE * seconds)
        except FinishEarly:
            raise TrainingError(*NOTHING_LEARNED) from None
        spent = time.monotonic() - start
        config = TrainConfig(
            train=data.train,
            holdout=data.holdout,
            classes=data.classes,
            seconds=max(1.0, seconds - spent - (comparison.cost_s if comparison else 0.0)),
            seed=seed,
            device=device,
            recipe=recipe or Recipe(),
            origin={"init": "imagenet", "project": project.uuid, "holdout": data.rule},
        )
        finished = yield from train(config)
        scores: Scores = finished.metrics.get("mean_iou"), None
        if comparison is not None:
            scores = yield from insisting(comparison.score_new(finished.checkpoint))
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(resolve_device(device), "fine-tuning") from error
        raise
    yield _decide(store, finished, data, scores, old)


def _current(store: VersionStore) -> Checkpoint | None:
    number = store.current
    try:
        return None if number is None else store.load(number)
    except CheckpointError:
        return None  # a damaged version cannot be compared with; the decision says that there was no comparison


def _decide(
    store: VersionStore,
    finished: Finished,
    data: Collection,
    scores: Scores,
    old: Checkpoint | None,
) -> Decided:
    """Write the version, and adopt it unless the current one is as good."""
    mean_iou, old_mean_iou = scores
    adopted = mean_iou is None or old_mean_iou is None or mean_iou > old_mean_iou
    reason = _reason(data, scores, old, adopted)
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": finished.checkpoint.id,
        "num_images": data.num_images,
        "mean_iou": mean_iou,
        "old_mean_iou": old_mean_iou,
        "adopted": adopted,
        "reason": reason,
        "holdout": data.rule,
        "trained_items": sorted({image.key for image in data.train}),
        "holdout_items": sorted({image.key for image in data.holdout}),
        "classes": finished.checkpoint.classes.to_json()["classes"],
        "metrics": finished.metrics,
    }
    version = store.add(finished.checkpoint, record)
    if adopted:
        store.set_current(version.number)
    return Decided(version, adopted, mean_iou, old_mean_iou, reason)


def _reason(data: Collection, scores: Scores, old: Checkpoint | None, adopted: bool) -> str:
    mean_iou, old_mean_iou = scores
    if mean_iou is None:
        return "No evidence yet: nothing could be held out to measure on."
    if old is None or old_mean_iou is None:
        return f"Mean IoU {mean_iou:.3f} on held-out pixels; there was no version to compare with."
    new = [c.name for c in data.classes if c.index not in old.classes]
    text = f"Mean IoU {mean_iou:.3f} on held-out pixels, {old_mean_iou:.3f} before"
    text += f", on the classes that both know; new: {', '.join(new)}." if new else "."
    return text if adopted else f"{text} The current version stays."
