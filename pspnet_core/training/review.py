"""A version against everything that is labelled: what it confuses, where, and which labels look wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from pspnet_core.devices import set_threads
from pspnet_core.errors import PspnetError, TrainingError
from pspnet_core.imaging.opening import open_source
from pspnet_core.imaging.source import ImageSource
from pspnet_core.inference.predictor import Predictor, WindowDone
from pspnet_core.inference.upsample import write_part
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.project.project import Project
from pspnet_core.project.records import Annotation, Item, Split, Status
from pspnet_core.training.confusions import find_confusions
from pspnet_core.training.events import FinishEarly
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.holdout import block_mask
from pspnet_core.training.review_events import (
    Cell,
    ItemScore,
    Place,
    Review,
    Reviewed,
    ReviewEvent,
    Reviewing,
    Suspect,
)
from pspnet_core.training.versions import VersionStore
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Prediction, Provenance

_PLACES_PER_CELL = 12
_PLACES_PER_IMAGE = 5
_MOST_SUSPECTS = 200
_VOUCHED = (int(Provenance.PAINTED), int(Provenance.IMPORTED))


def review(
    project: Project, number: int, device: str = "auto", num_threads: int | None = None
) -> Iterator[ReviewEvent]:
    """Compare a version with the labels of all images, one image in memory at a time.

    Images that the version did not learn from come first, those of split ``test`` last: they are counted apart, and no
    place of them is listed, so that nobody labels by them. Skipped images take no part. Pixels that were accepted from
    a prediction say nothing about it and are left out, unless the image is marked as done: somebody let them pass.
    :class:`FinishEarly`, thrown in, ends it with what is known so far.

    Args:
        project: With its labels saved.
        number: Of the version.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        num_threads: Torch threads of the calling thread; None leaves them as they are.

    Yields:
        :class:`Reviewing` after each window, :class:`Reviewed` after each image, and :class:`Review` as the last.

    Raises:
        CheckpointError: The version is missing or damaged.
        TrainingError: Nothing is labelled, or no labelled image can be read.
        DeviceError: The device is not there, or memory ran out.
    """
    set_threads(num_threads)
    store = VersionStore(project.folder / "versions")
    predictor = Predictor(store.load(number), device)
    record = next((version.record for version in store.list() if version.number == number), {})
    run = _Run(project, number, predictor, Exposure.from_json(record))
    with suppress(FinishEarly):  # the result so far is what was asked for
        yield from run.look()
    yield run.result()


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """The labels of an item that are compared.

    Attributes:
        class_map: (H, W) uint8 class ids, 255 where nothing is compared.
        vouched: (H, W) bool: a person gave the class.
        unlearned: (H, W) bool, the pixels that the version did not learn from; None for all or none of them.
        is_learned: Whether it learned from any, where ``unlearned`` is None.
    """

    class_map: ClassMap
    vouched: BoolMask
    unlearned: BoolMask | None
    is_learned: bool


class _Run:
    """A review under way."""

    def __init__(self, project: Project, number: int, predictor: Predictor, exposure: Exposure | None) -> None:
        self._project, self._number, self._predictor, self._exposure = project, number, predictor, exposure
        self._classes = project.classes
        if not len(self._classes):
            raise _nothing_labelled()
        self._everything, self._unlearned, self._test = (ConfusionMatrix(self._classes.indices) for _ in range(3))
        self._items: list[ItemScore] = []
        self._cells: dict[Cell, list[Place]] = {}
        self._suspects: list[Suspect] = []
        self._unread: list[str] = []
        self._wanted = self._order()

    def look(self) -> Iterator[ReviewEvent]:
        """Go through the images."""
        total = len(self._wanted)
        for done, item in enumerate(self._wanted):
            yield Reviewing(done, total, done / total, item.key)
            try:
                source = open_source(item.image_path, item.page)
                annotation = self._project.load_annotation(item, source.width, source.height)
            except (PspnetError, OSError):
                self._unread.append(item.key)
                continue
            labels = self._labels(item, annotation)
            if not (labels.class_map != UNLABELLED).any():
                continue  # all of it was accepted from predictions
            whole = _blank(source)
            for event in self._predictor.predict_parts(source, margin=True):
                if isinstance(event, WindowDone):
                    yield Reviewing(done, total, (done + event.done / event.total) / total, item.key)
                else:
                    write_part(whole, event)
            score = yield from self._count(item, labels, whole, done)
            yield Reviewed(score)

    def result(self) -> Review:
        """What is known so far. Raises: TrainingError."""
        if not self._items and not self._test.num_pixels:
            if self._unread:
                raise TrainingError(
                    "No labelled image could be read.",
                    f"{', '.join(self._unread[:3])}.",
                    "See that the images are where they were, then review again.",
                )
            raise _nothing_labelled()
        return Review(
            self._number,
            self._classes,
            self._predictor.checkpoint.classes.indices,
            self._everything,
            self._unlearned,
            self._test,
            tuple(sorted(self._items, key=lambda score: (score.mean_iou, -score.wrong_px))),
            {cell: tuple(places) for cell, places in self._cells.items()},
            tuple(self._suspects),
            tuple(self._unread),
            len(self._wanted),
        )

    def _order(self) -> list[Item]:
        """Labelled items, those first that the version knows least of; else in an order without meaning."""
        states = {item.key: self._project.state(item.key) for item in self._project.items}
        items = [
            item
            for item in self._project.items
            if states[item.key].status is not Status.SKIPPED and (states[item.key].labelled_px or item.found_mask)
        ]
        if not items:
            raise _nothing_labelled()

        def place(item: Item) -> tuple[bool, int, int]:
            blocks = self._exposure.unlearned(item.key) if self._exposure is not None else frozenset()
            familiarity = 0 if blocks is None else 1 if blocks else 2
            return item.split is Split.TEST, familiarity, crc32(item.key.encode())

        return sorted(items, key=place)

    def _labels(self, item: Item, annotation: Annotation) -> _Labels:
        class_map, provenance = annotation.class_map, annotation.provenance
        known = np.zeros(256, np.bool_)
        known[list(self._classes.indices)] = True
        class_map[~known[class_map]] = UNLABELLED
        if self._project.state(item.key).status is not Status.DONE:
            class_map[provenance == int(Provenance.ACCEPTED)] = UNLABELLED
        vouched = (provenance == _VOUCHED[0]) | (provenance == _VOUCHED[1])
        blocks = self._exposure.unlearned(item.key) if self._exposure is not None else frozenset()
        unlearned = block_mask(class_map.shape, blocks) if blocks else None
        return _Labels(class_map, vouched, unlearned, is_learned=blocks is not None)

    def _count(
        self, item: Item, labels: _Labels, whole: Prediction, done: int
    ) -> Generator[ReviewEvent, None, ItemScore]:
        """Add an image to the counts, and what is to be seen in it to the lists."""
        matrix, unlearned = ConfusionMatrix(self._classes.indices), ConfusionMatrix(self._classes.indices)
        matrix.update(labels.class_map, whole.class_map)
        if labels.unlearned is not None:
            unlearned.update(np.where(labels.unlearned, labels.class_map, UNLABELLED), whole.class_map)
        elif not labels.is_learned:
            unlearned.merge(matrix)
        counts = matrix.counts
        wrong_px = int(counts.sum() - np.trace(counts))
        score = ItemScore(item.key, item.split, matrix.mean_iou, matrix.num_pixels, wrong_px, unlearned.num_pixels)
        if item.split is Split.TEST:
            self._test.merge(matrix)
            return score
        finding = find_confusions(item.key, labels.class_map, whole.class_map, whole.margin, labels.vouched)
        total = len(self._wanted)
        while True:
            try:
                next(finding)
            except StopIteration as stop:
                places, suspects = stop.value
                break
            yield Reviewing(done, total, (done + 1) / total, item.key)
        # From here on nothing yields, so that an image counts as a whole or not at all.
        self._everything.merge(matrix)
        self._unlearned.merge(unlearned)
        for place in places:
            self._keep(place)
        self._suspects = sorted([*self._suspects, *suspects], key=lambda found: -found.rank)[:_MOST_SUSPECTS]
        score = replace(score, places=tuple(places[:_PLACES_PER_IMAGE]))
        self._items.append(score)
        return score

    def _keep(self, place: Place) -> None:
        """Among the largest of its cell."""
        kept = self._cells.setdefault((place.true_id, place.predicted_id), [])
        kept.append(place)
        kept.sort(key=lambda other: -other.area_px)
        del kept[_PLACES_PER_CELL:]


def _blank(source: ImageSource) -> Prediction:
    """Planes to write the parts of a prediction to."""
    shape = source.height, source.width
    return Prediction(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


def _nothing_labelled() -> TrainingError:
    return TrainingError(
        "There is nothing to compare with.", "No image has a labelled pixel.", "Label some pixels, then review."
    )
