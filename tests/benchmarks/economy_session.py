"""The program as a person meets it, without a window: overlay, queue and fine-tunes of a real project, on a clock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet_core.imaging.opening import read_small
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.inference.ranking import ImageSummary
from pspnet_core.project.dataset import Dataset
from pspnet_core.project.project import Project
from pspnet_core.project.records import Item, Split, Status
from pspnet_core.training.holdout import labelled_blocks
from pspnet_core.types import UNLABELLED, ClassMap, Prediction, ProvenanceMap, Rect
from pspnet_studio.jobs.live import LiveFit, Marks, keep_rows, read_kept
from pspnet_studio.jobs.queueing import plan, ranked
from pspnet_studio.model.protection import Protection
from pspnet_studio.model.whole_image import accepted
from tests.benchmarks.annotator import Stroke, paint

if TYPE_CHECKING:
    from pspnet_core.inference.predictor import Predictor

_LIVE = "live"  # folder of a project in which rows of images are kept
_PICTURE_PX = 512  # of what the queue looks at


def make_project(root: Path, dataset: Dataset) -> Project:
    """A project of the training images of a data set and its classes, with nothing labelled."""
    folder = root / "images" / "train"
    folder.mkdir(parents=True)
    for item in dataset.items[Split.TRAIN]:
        shutil.copyfile(item.image_path, folder / item.image_path.name)
    project = Project.open(root)
    project.set_classes(dataset.classes)
    project.save()
    return project


@dataclass(slots=True)
class Page:
    """The image that is open.

    Attributes:
        item: Of the project.
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) uint8, what the person knows.
        class_map: (H, W) uint8, what is labelled.
        provenance: (H, W) uint8.
        fit: The head that follows the hand.
        prediction: What lies under the labels; None where nothing is predicted.
    """

    item: Item
    image: Any
    truth: ClassMap
    class_map: ClassMap
    provenance: ProvenanceMap
    fit: LiveFit
    prediction: Prediction | None = None

    @property
    def shown(self) -> ClassMap:
        """(H, W) uint8, what the person sees; 255 = nothing."""
        if self.prediction is None:
            return self.class_map
        return np.where(self.class_map == UNLABELLED, self.prediction.class_map, self.class_map)


@dataclass(slots=True)
class Pending:
    """A fine-tune that is done here, but not yet on the person's clock.

    Attributes:
        at_s: When it is.
        number: Of its version.
        adopted: Whether the program uses it.
        record: What the program told about it.
    """

    at_s: float
    number: int
    adopted: bool
    record: dict[str, Any] = field(default_factory=dict)


class Desk:
    """A project with a person at it.

    Args:
        project: To be labelled.
        dataset: Knows the truth.
        first: ``default``: begins with what the program opens first; ``queue``: with what it would suggest.

    Attributes:
        looked_s: Seconds for which the networks looked at the image that was opened last.
        answered_s: When answers to the last stroke came, in seconds from its end on.
    """

    def __init__(self, project: Project, dataset: Dataset, first: str = "default") -> None:
        from pspnet_core.inference.features import FeatureExtractor
        from pspnet_core.inference.summaries import Summariser

        self.project = project
        self._dataset = dataset
        self._items = {item.image_path.name: item for item in dataset.items[Split.TRAIN]}
        self._first = first
        self._extractor = FeatureExtractor()
        self._pictures = {item.key: read_small(item.image_path, item.page, _PICTURE_PX) for item in project.items}
        summariser = Summariser("cpu")
        self._cells = {key: summariser.cells(picture) for key, picture in self._pictures.items()}
        self._summaries: Mapping[str, ImageSummary] = {key: ImageSummary(c) for key, c in self._cells.items()}
        self._labelled_px: dict[int, int] = {}
        self.predictor: Predictor | None = None
        self._num_images: int | None = None  # from which the version learned
        self.page: Page | None = None
        self.looked_s, self.answered_s = 0.0, list[float]()

    # --- versions

    def use(self, number: int, record: Mapping[str, Any]) -> None:
        """Another version predicts from now on, on the open image, too."""
        from pspnet_core.inference.predictor import Predictor
        from pspnet_core.training.versions import VersionStore

        self.predictor = Predictor(VersionStore(self.project.folder / "versions").load(number), "cpu")
        self._num_images = record.get("num_images")
        counts = record.get("metrics", {}).get("labelled_px", {})
        self._labelled_px = {int(index): int(count) for index, count in counts.items()}
        self._summaries = {key: ImageSummary(cells) for key, cells in self._cells.items()}
        if self.page is not None:
            self.page.fit.set_prior(self._logits(self.page.image), self._num_images)
            self._note_shown(self.page)
            self._refine(self.page, ())

    def doubt(self) -> None:
        """Let the queue know how sure the version in use is of each image."""
        from pspnet_core.inference.summaries import summary

        candidates = {item.key for item in plan(self.project).candidates}
        self._summaries = {
            key: summary(cells, self._logits(self._pictures[key]) if key in candidates else None)
            for key, cells in self._cells.items()
        }

    # --- one image

    def next_item(self) -> Item | None:
        """The image that the program opens first, then the one that it suggests."""
        candidates = plan(self.project).candidates
        if not candidates:
            return None
        if self._first == "default" and len(candidates) == len(self.project.items):
            return candidates[0]
        return self.project.item(ranked(self._summaries, self.project, self._labelled_px)[0].key)

    def open(self, item: Item) -> Page:
        """Open an image: what the version says, or rows of earlier images, or nothing."""
        image, truth = self._dataset.load(self._items[item.image_path.name])
        kept = read_kept(self.project.folder / _LIVE, item.key, self.project.classes.indices)
        start_s = time.monotonic()
        prior = None if self.predictor is None else self._logits(image)
        features = self._extractor.features(image)
        self.looked_s = time.monotonic() - start_s
        empty = np.full(truth.shape, UNLABELLED, np.uint8), np.zeros(truth.shape, np.uint8)
        self.page = page = Page(item, image, truth, *empty, LiveFit(features, prior, kept, self._num_images))
        if prior is not None:
            self._note_shown(page)
        self._refine(page, (Rect.of_array(truth),))
        return page

    def paint(self, stroke: Stroke) -> None:
        """Paint on the open image, and let the overlay follow."""
        page = self.page
        assert page is not None
        paint(stroke, page.truth, page.class_map, page.provenance)
        around = stroke.diameter / 2 + 2
        left, top = np.floor(stroke.points.min(axis=0) - around).astype(int).tolist()
        right, bottom = np.ceil(stroke.points.max(axis=0) + around).astype(int).tolist()
        rect = Rect(left, top, right - left, bottom - top).intersect(Rect.of_array(page.truth))
        self.project.set_state(page.item.key, status=Status.IN_PROGRESS)
        self._refine(page, (rect,))

    def close(self) -> None:
        """Accept the rest, mark as done, and leave."""
        page, self.page = self.page, None
        assert page is not None
        key = page.item.key
        keep_rows(self.project.folder / _LIVE, key, page.fit.rows())
        if page.prediction is not None:
            whole = Rect.of_array(page.truth)
            change = accepted(
                whole, page.class_map.copy(), page.provenance.copy(), page.prediction.class_map, True, Protection()
            )
            if change is not None:
                page.class_map[change.rect.slices] = change.classes
                page.provenance[change.rect.slices] = change.provenance
        self._save(page)
        self.project.set_state(key, status=Status.DONE)
        self.project.save()

    # --- fine-tuning

    def fine_tune(self, start_s: float, seconds: float, options: Mapping[str, Any]) -> Pending:
        """Fine-tune with what is labelled now.

        Args:
            start_s: On the person's clock.
            seconds: That it takes there.
            options: Arguments of ``finetune``.

        Raises:
            TrainingError: There is nothing to learn from yet.
        """
        from pspnet_core.training.events import Decided
        from pspnet_core.training.finetune import finetune

        if self.page is not None and (self.page.class_map != UNLABELLED).any():
            self._save(self.page)
        decided = next(event for event in finetune(self.project, **options) if isinstance(event, Decided))
        record = {**decided.version.record, "reason": decided.reason}
        return Pending(start_s + seconds, decided.version.number, decided.adopted, record)

    # --- inside

    def _refine(self, page: Page, changed: tuple[Rect, ...]) -> None:
        planes = PlaneStore.from_array(page.class_map, UNLABELLED), PlaneStore.from_array(page.provenance)
        start_s, self.answered_s = time.monotonic(), []
        for shown in page.fit.refit(Marks(*planes, changed, None)):
            if shown is not None:
                page.prediction = shown.prediction
                self.answered_s.append(time.monotonic() - start_s)
        if page.prediction is None and self.predictor is not None:
            page.prediction = self.predictor.predict(page.image)
        elif page.prediction is not None:
            self._note_shown(page)

    def _note_shown(self, page: Page) -> None:
        """What is painted from now on is no evidence, as in the window."""
        if not self.project.state(page.item.key).prediction_shown:
            blocks = labelled_blocks(page.class_map)
            self.project.set_state(page.item.key, prediction_shown=True, unaided_blocks=blocks)

    def _save(self, page: Page) -> None:
        self.project.save_annotation(page.item, page.class_map, page.provenance)

    def _logits(self, image: Any) -> Any:
        from pspnet_core.inference.predictor import Predicted

        assert self.predictor is not None
        events: Iterator[Any] = self.predictor.predict_windows(image)
        return next(event.logits for event in events if isinstance(event, Predicted))
