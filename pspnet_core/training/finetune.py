"""One-click fine-tuning of a project: collect, hold out, train, compare, decide."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pspnet_core.classes import ClassSet
from pspnet_core.devices import is_out_of_memory, out_of_memory, resolve_device, set_threads
from pspnet_core.errors import CheckpointError, TrainingError
from pspnet_core.project.project import Project
from pspnet_core.training.collection import Collection, collect
from pspnet_core.training.comparison import Comparison, unlearned_only
from pspnet_core.training.config import Mode, Recipe, TrainConfig, network_for
from pspnet_core.training.continuous import labels_of
from pspnet_core.training.decision import Current, Parent, Result, decide
from pspnet_core.training.events import Adjusted, Decided, FinishEarly, TrainEvent, insisting
from pspnet_core.training.evidence import Evidence
from pspnet_core.training.exposure import Exposure, learned_also, merged, read_exposure, write_exposure
from pspnet_core.training.interrupted import (
    FOLDER,
    InterruptedRun,
    discard,
    interrupted,
    left_behind,
    note_run,
    running,
    state_file,
)
from pspnet_core.training.loop import NOTHING_LEARNED, train
from pspnet_core.training.schedule import Clock
from pspnet_core.training.start import Start
from pspnet_core.training.versions import VersionStore

__all__ = ["FULL_SECONDS", "QUICK_SECONDS", "InterruptedRun", "discard", "finetune", "interrupted"]

QUICK_SECONDS = 60.0
"""Of a ``quick`` run that is not told how long."""

FULL_SECONDS = 1200.0
"""Of a ``full`` run that is not told: the most; it ends when it does not get better any more."""

_MEMORY = "holdout.json"
_COMPARE_SHARE = 0.08  # of the time, for scoring one version
_LEAST_SHARE = 0.5  # of the time, for training, however long it takes to get there


@dataclass(frozen=True)
class _Order:
    """What a fine-tune is told; ``is_resumed``: it goes on with that run."""

    run: InterruptedRun
    device: str
    recipe: Recipe | None
    is_resumed: bool


def finetune(
    project: Project,
    seconds: float | None = None,
    *,
    mode: Mode = "quick",
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    num_threads: int | None = None,
    recipe: Recipe | None = None,
    start: Start | None = None,
    resume: bool = False,
) -> Iterator[TrainEvent | Decided]:
    """Train a new version of ``project`` from all that is labelled, and adopt it if it is better.

    ``quick`` goes on from the current version where that came from the same base weights, ``full`` and the first one
    start from these; both learn from all labels again. Items of split test, those that look like one, and skipped ones
    take no part; those of split val, or else items or blocks by the evidence rule, are held out. Pixels painted
    meanwhile may or may not take part. :class:`FinishEarly` keeps what was learned so far. Closed or killed, it leaves
    its state behind: see :func:`interrupted` and :func:`discard`.

    Args:
        project: With its labels saved.
        seconds: Wall time for everything without pauses, at least half of it for training; :data:`QUICK_SECONDS` or
            :data:`FULL_SECONDS` when neither is given.
        mode: ``quick`` or ``full``.
        steps: Number of steps instead; the result then depends on nothing but labels, versions and seed.
        seed: Of weights, crops and dropout.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        num_threads: Torch threads of the calling thread; None leaves them as they are.
        recipe: How to learn; that of the mode when not given.
        start: What the base weights are; what the settings of the project say when not given.
        resume: Go on with the run that was interrupted, which then tells mode, length, seed and start; anew where there
            is none.

    Yields:
        Events of :func:`fit`, and :class:`Decided` as the last.

    Raises:
        TrainingError: Nothing is labelled, an image cannot be read, training broke down, or another one runs.
        DeviceError: The device is not there, or memory ran out.
        CheckpointError: The ImageNet weights, or the imported version, are missing or damaged.
        StorageError: The version could not be written.
        ValueError: Both seconds and steps are given.
    """
    set_threads(num_threads)
    new = _new_run(project, seconds, mode, steps, seed, start)
    with running(project):
        run = left_behind(project) if resume else None
        yield from _guarded(project, _Order(run or new, device, recipe, run is not None))


def _new_run(
    project: Project, seconds: float | None, mode: Mode, steps: int | None, seed: int, start: Start | None
) -> InterruptedRun:
    """Raises: ValueError when both seconds and steps are given."""
    if seconds is not None and steps is not None:
        raise ValueError("give either seconds or steps")
    if seconds is None and steps is None:
        seconds = QUICK_SECONDS if mode == "quick" else FULL_SECONDS
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    return InterruptedRun(mode, seconds, steps, seed, start or Start.of(project.settings), None, begun)


def _guarded(project: Project, order: _Order) -> Iterator[TrainEvent | Decided]:
    """A fine-tune, its errors in words, and nothing left behind of one that came to its end."""
    if not order.is_resumed:
        discard(project)
    try:
        yield (yield from _finetune(project, order))
    except TrainingError:
        discard(project)  # to go on from there would end the same way
        raise
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(resolve_device(order.device), "fine-tuning") from error
        raise
    discard(project)


def _finetune(project: Project, order: _Order) -> Generator[TrainEvent, None, Decided]:
    """As :func:`finetune`."""
    run, clock = order.run, Clock(order.run.seconds, time.monotonic)
    store = VersionStore(project.folder / "versions")
    current = _current(store)
    try:
        parent = yield from _parent(project, order, store, current)
        data = yield from clock.without_rests(_collected(project, store, parent))
        labels = labels_of({key: project.state(key) for key in data.keys})
        comparison = _comparison(current, parent, data, order.device)
        collected_s = clock.elapsed_s
        if comparison is not None:
            share = _COMPARE_SHARE * (run.seconds if run.seconds is not None else float("inf"))
            yield from clock.without_rests(comparison.score_old(time.monotonic() + share))
    except FinishEarly:
        raise TrainingError(*NOTHING_LEARNED) from None
    note_run(project, replace(run, parent=parent.number))
    scored_s = clock.elapsed_s - collected_s  # the new version takes as long
    config = _config(project, order, parent, data, _left(run.seconds, clock.elapsed_s + scored_s))
    finished = yield from train(config)
    evidence: Evidence | None = None
    if comparison is not None:
        evidence = yield from insisting(comparison.score_new(finished.checkpoint))
    result = Result(finished, config, data, evidence, current, parent, run.seconds, labels)
    if result.exposure is not None:
        memory = project.folder / FOLDER / _MEMORY
        write_exposure(memory, merged([read_exposure(memory), result.exposure]))
    return decide(store, result)


def _left(seconds: float | None, used_s: float) -> float | None:
    """Of the time that was asked for: what reading leaves, but so much that something is learned."""
    return None if seconds is None else max(_LEAST_SHARE * seconds, seconds - used_s)


def _collected(project: Project, store: VersionStore, parent: Parent) -> Generator[TrainEvent, None, Collection]:
    """The labels of the project; what is held out is written down, so that it stays so."""
    memory = project.folder / FOLDER / _MEMORY
    before = read_exposure(memory)
    past = merged([before, *_exposures(store)])
    data = yield from collect(project, past)
    held = merged([past, Exposure(frozenset(), data.held_items, data.held_blocks)])
    if held != before:
        write_exposure(memory, held)
    _keep_unlearned(data, parent)
    return data


def _config(project: Project, order: _Order, parent: Parent, data: Collection, seconds: float | None) -> TrainConfig:
    run = order.run
    earlier = parent.checkpoint.origin if parent.checkpoint else None
    return TrainConfig(
        train=data.train,
        holdout=data.holdout,
        classes=data.classes,
        seconds=seconds,
        steps=run.steps,
        mode=run.mode,
        seed=run.seed,
        device=order.device,
        recipe=order.recipe,
        state_file=state_file(project),
        origin={
            "init": run.start.to_json(),
            "parent": parent.number,
            "project": project.uuid,
            "projects": learned_also(earlier, project.uuid),
            "holdout": data.rule,
        },
        **_initial(run.start, parent, data.classes),
    )


def _parent(
    project: Project, order: _Order, store: VersionStore, current: Current
) -> Generator[TrainEvent, None, Parent]:
    """The version in use for ``quick``, unless it came from other base weights than those wanted now, or is unknown.

    A run that is resumed goes on from what it started from; where that is gone, it begins anew.

    Raises:
        CheckpointError: The imported version to start from cannot be read.
    """
    run = order.run
    if order.is_resumed:
        try:
            return Parent() if run.parent is None else _version(run.parent, store)
        except CheckpointError as error:
            discard(project)
            yield Adjusted("state", f"{error.title} The fine-tune started from it, and begins anew.")
    if run.mode == "quick" and current.checkpoint is not None and current.exposure is not None:
        is_heir = current.checkpoint.origin.get("init") == run.start.to_json()
        if is_heir or current.number == run.start.version:
            return Parent(current.number, current.checkpoint, current.exposure)
    return Parent() if run.start.version is None else _version(run.start.version, store)


def _version(number: int, store: VersionStore) -> Parent:
    return Parent(number, store.load(number), _exposure_of(number, store))


def _keep_unlearned(data: Collection, parent: Parent) -> None:
    """Take out of the hold-out what was learned from before the fine-tune began."""
    if parent.exposure is None:
        data.holdout = []
    elif parent.exposure.trained:
        data.holdout = unlearned_only(data.holdout, data.classes.indices, parent.exposure)
    if not data.holdout:
        data.rule = "none"


def _initial(start: Start, parent: Parent, classes: ClassSet) -> dict[str, Any]:
    """Network and weights to start with, as arguments of :class:`TrainConfig`."""
    if parent.checkpoint is not None:
        return {"init": parent.checkpoint}
    return {"model": network_for(start.backbone, len(classes)), "weights": start.file}


def _current(store: VersionStore) -> Current:
    number = store.current
    if number is None:
        return Current()
    try:
        return Current(number, store.load(number), _exposure_of(number, store))
    except CheckpointError as error:
        return Current(number, trouble=error.title)


def _exposure_of(number: int, store: VersionStore) -> Exposure | None:
    """What a version learned from; None when its record does not tell."""
    return next((Exposure.from_json(v.record) for v in store.list() if v.number == number), None)


def _exposures(store: VersionStore) -> Iterator[Exposure]:
    for version in store.list():
        exposure = Exposure.from_json(version.record)
        if exposure is not None:
            yield exposure


def _comparison(current: Current, parent: Parent, data: Collection, device: str) -> Comparison | None:
    if current.checkpoint is None or current.exposure is None or parent.exposure is None:
        return None
    learned = parent.exposure.trained | {image.key for image in data.train}
    return Comparison(current.checkpoint, current.exposure, learned, data.holdout, data.classes, device)
