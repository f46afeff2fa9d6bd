"""Which crop comes next: around a labelled pixel of a drawn class, so that no class starves. Needs no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pspnet_core.errors import TrainingError
from pspnet_core.types import UNLABELLED, ClassMap

_ANCHORS_PER_CLASS = 256


class Anchor(NamedTuple):
    """A labelled pixel that a crop has to show."""

    image: int
    row: int
    column: int


class AnchorSampler:
    """Draws anchors.

    A class is drawn with a probability proportional to the square root of its share of labelled pixels: between
    drawing pixels (rare classes are hardly seen) and drawing classes (priors are lost). Then an image that holds it,
    by the square root of its pixels there, then one of its pixels. Sparse strokes are found as easily as full masks.

    It keeps no source of randomness: what is drawn follows from the images and from the generator that is given.
    """

    def __init__(self) -> None:
        self._anchors: dict[int, list[tuple[int, int, NDArray[np.int64]]]] = {}  # class -> (image, width, positions)
        self._counts: dict[int, list[int]] = {}

    def add(self, image: int, class_map: ClassMap, rng: np.random.Generator) -> None:
        """Take in the labelled pixels of image number ``image``, (H, W) uint8."""
        flat = class_map.reshape(-1)
        for class_id in np.flatnonzero(np.bincount(flat, minlength=256)).tolist():
            if class_id == UNLABELLED:
                continue
            positions = np.flatnonzero(flat == class_id)
            chosen = positions[rng.integers(0, positions.size, min(positions.size, _ANCHORS_PER_CLASS))]
            self._anchors.setdefault(class_id, []).append((image, class_map.shape[1], chosen))
            self._counts.setdefault(class_id, []).append(int(positions.size))

    @property
    def counts(self) -> dict[int, int]:
        """Class id -> labelled pixels."""
        return {class_id: sum(counts) for class_id, counts in sorted(self._counts.items())}

    def draw(self, rng: np.random.Generator) -> Anchor:
        """The next anchor.

        Raises:
            TrainingError: No pixel is labelled.
        """
        if not self._anchors:
            raise TrainingError(
                "No pixel is labelled.", "All class maps are empty.", "Paint some pixels of each class, then train."
            )
        class_ids = sorted(self._anchors)
        class_id = class_ids[_pick([sum(self._counts[c]) for c in class_ids], rng)]
        image, width, positions = self._anchors[class_id][_pick(self._counts[class_id], rng)]
        row, column = divmod(int(rng.choice(positions)), width)
        return Anchor(image, row, column)


def _pick(counts: list[int], rng: np.random.Generator) -> int:
    weights = np.sqrt(np.array(counts, np.float64))
    return int(rng.choice(len(counts), p=weights / weights.sum()))
