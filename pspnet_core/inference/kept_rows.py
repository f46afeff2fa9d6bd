"""Marked cells of earlier images, and how they look from another image. Imports no torch.

Features are normalised image by image, which makes day and dusk alike, and forest and desert too. Rows of an earlier
image are therefore brought to what lies half way between its statistics and those of the image they are used on: what
differs between the two is then half a property of the light, half one of the things that are seen.

Legend: n rows, m images that they come from, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pspnet_core.inference.features import ImageFeatures

_FARTHEST = 6.0  # deviations; a feature that is nearly the same everywhere in both images would go to infinity

Statistics = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class KeptRows:
    """Marked cells of earlier images.

    Attributes:
        rows: (n, D) float16 features, normalised over their own images.
        class_ids: (n,) uint8.
        image: (n,) uint16, which of the m images each row comes from.
        means: (m, D) float32 of the features before they were normalised.
        deviations: (m, D) float32, positive, of the same.
    """

    rows: NDArray[np.float16]
    class_ids: NDArray[np.uint8]
    image: NDArray[np.uint16]
    means: Statistics
    deviations: Statistics

    @staticmethod
    def joined(parts: Sequence[KeptRows]) -> KeptRows:
        """The rows of one or more, one after the other."""
        first = np.cumsum([0, *(len(p.means) for p in parts)])
        return KeptRows(
            np.concatenate([p.rows for p in parts]),
            np.concatenate([p.class_ids for p in parts]),
            np.concatenate([p.image + start for p, start in zip(parts, first, strict=False)]).astype(np.uint16),
            np.concatenate([p.means for p in parts]),
            np.concatenate([p.deviations for p in parts]),
        )

    def only(self, chosen: NDArray[np.intp]) -> KeptRows:
        """Some of the rows, by their numbers."""
        return KeptRows(self.rows[chosen], self.class_ids[chosen], self.image[chosen], self.means, self.deviations)

    def seen_from(self, features: ImageFeatures) -> NDArray[np.float32]:
        """(n, D) the rows as features of another image, owned by the caller."""
        mean, deviation = features.statistics
        centre = (self.means + mean) / 2
        spread = np.sqrt((np.square(self.deviations) + np.square(deviation)) / 2)
        factor, shift = self.deviations / spread, (self.means - centre) / spread
        seen = self.rows.astype(np.float32)
        seen *= factor[self.image]
        seen += shift[self.image]
        return np.clip(seen, -_FARTHEST, _FARTHEST, out=seen)
