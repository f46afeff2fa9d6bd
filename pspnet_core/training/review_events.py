"""What a review of a version tells: scores, confused places, likely errors of labels. Needs no torch and no OpenCV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pspnet_core.classes import ClassSet
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.project.records import Split
from pspnet_core.training.events import rounded
from pspnet_core.types import Rect

Cell = tuple[int, int]
"""Class ids of a cell of the confusion matrix: labelled, predicted."""


@dataclass(frozen=True, slots=True)
class Place:
    """A connected region that is labelled as one class and predicted as another.

    Attributes:
        key: Of the item.
        rect: Around it, in image pixels.
        x: Column of a pixel in it that is far from its border.
        y: Row of that pixel.
        area_px: Its pixels; of a large image an estimate from every n-th one.
        true_id: Class id that is labelled.
        predicted_id: Class id that is predicted.
    """

    key: str
    rect: Rect
    x: int
    y: int
    area_px: int
    true_id: int
    predicted_id: int

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "key": self.key,
            "rect": list(self.rect),
            "point": [self.x, self.y],
            "area_px": self.area_px,
            "labelled": self.true_id,
            "predicted": self.predicted_id,
        }


@dataclass(frozen=True, slots=True)
class Suspect:
    """A place where the version is sure of another class than a person gave: perhaps the label is wrong.

    Attributes:
        place: Of the pixels it is sure about.
        margin: Mean of (highest - second highest probability) there, 0 to 1.
    """

    place: Place
    margin: float

    @property
    def rank(self) -> float:
        """The larger, the more it is worth a second look: area times margin."""
        return self.place.area_px * self.margin


@dataclass(frozen=True, slots=True)
class ItemScore:
    """One image in a review.

    Attributes:
        key: Of the item.
        split: Of the item.
        mean_iou: Over the classes that are labelled or predicted on its labelled pixels, 0 to 1.
        labelled_px: Pixels that were compared.
        wrong_px: Those of them that are predicted as another class.
        unlearned_px: Those of the labelled ones that the version did not learn from.
        places: Its largest wrong regions, largest first; none for split ``test``.
    """

    key: str
    split: Split
    mean_iou: float
    labelled_px: int
    wrong_px: int
    unlearned_px: int
    places: tuple[Place, ...] = ()

    @property
    def is_held_out(self) -> bool:
        """Whether the version learned from none of the pixels."""
        return self.unlearned_px == self.labelled_px


@dataclass(frozen=True, slots=True)
class Reviewing:
    """Sign of life.

    Attributes:
        done: Images so far.
        total: Images in all.
        fraction: Of all the work, 0 to 1.
        key: Of the item at hand.
    """

    done: int
    total: int
    fraction: float
    key: str

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"event": "reviewing", "done": self.done, "total": self.total, "fraction": round(self.fraction, 4)}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One image was compared with its labels."""

    score: ItemScore

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        score = self.score
        return {"event": "reviewed", "key": score.key, "mean_iou": rounded(score.mean_iou), "wrong_px": score.wrong_px}


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """The last event: a version against all that is labelled.

    Pixels of split ``test`` are counted in ``test`` alone; no place of them is listed.

    Attributes:
        version: Number of the version.
        classes: Of the project when it was made.
        known: Class ids that the version can predict.
        everything: All labelled pixels but those of split ``test``.
        unlearned: Those of them that the version did not learn from.
        test: Those of split ``test``.
        items: Images that are not of split ``test``, worst first.
        cells: Cell -> its largest places, largest first.
        suspects: Likely errors of labels, the most remarkable first.
        unread: Keys of the items that could not be read.
        num_items: Images that were to be looked at; fewer were when it was ended early.
    """

    version: int
    classes: ClassSet
    known: tuple[int, ...]
    everything: ConfusionMatrix
    unlearned: ConfusionMatrix
    test: ConfusionMatrix
    items: tuple[ItemScore, ...] = ()
    cells: dict[Cell, tuple[Place, ...]] = field(default_factory=dict)
    suspects: tuple[Suspect, ...] = ()
    unread: tuple[str, ...] = ()
    num_items: int = 0

    def places_of_class(self, class_id: int) -> tuple[Place, ...]:
        """Where a class is missed or seen in vain, largest first."""
        found = [place for cell, places in self.cells.items() if class_id in cell for place in places]
        return tuple(sorted(found, key=lambda place: -place.area_px))

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "event": "review",
            "version": self.version,
            "mean_iou": rounded(self.everything.mean_iou),
            "unlearned_mean_iou": rounded(self.unlearned.mean_iou),
            "test_mean_iou": rounded(self.test.mean_iou),
            "iou": {str(i): rounded(v) for i, v in self.everything.iou_by_id.items()},
            "confusion": self.everything.counts.tolist(),
            "items": [{"key": i.key, "mean_iou": rounded(i.mean_iou)} for i in self.items],
            "suspects": [{**s.place.to_json(), "margin": rounded(s.margin)} for s in self.suspects],
        }


ReviewEvent = Reviewing | Reviewed | Review
