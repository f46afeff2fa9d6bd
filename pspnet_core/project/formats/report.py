"""What an export or import could not carry over, counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.types import UNLABELLED, ClassMap

_EXAMPLES = 3
_BAND_PX = 256


@dataclass(frozen=True, slots=True)
class Remark:
    """One kind of thing that was not carried over as it was.

    Attributes:
        title: What, in one sentence.
        count: How often.
        examples: Some of the images or names.
    """

    title: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.examples) + (", ..." if self.count > len(self.examples) else "")
        return f"{self.title} ({self.count}: {shown})" if shown else f"{self.title} ({self.count})"

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"title": self.title, "count": self.count, "examples": list(self.examples)}


class Remarks:
    """Counts remarks of the same title."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, list[str]]] = {}

    def add(self, title: str, example: str = "", count: int = 1) -> None:
        """Count one more."""
        before, examples = self._found.get(title, (0, []))
        if example and example not in examples and len(examples) < _EXAMPLES:
            examples = [*examples, example]
        self._found[title] = before + count, examples

    def extend(self, titles: Iterable[str], example: str) -> None:
        """Count one more of each."""
        for title in titles:
            self.add(title, example)

    def to_tuple(self) -> tuple[Remark, ...]:
        """All, in the order in which they came up."""
        return tuple(Remark(title, count, tuple(examples)) for title, (count, examples) in self._found.items())


class Agreement:
    """How well what was written agrees with what was there, over all images."""

    def __init__(self) -> None:
        self._pairs: NDArray[np.int64] = np.zeros((256, 256), np.int64)

    def add(self, before: ClassMap, after: ClassMap) -> int:
        """Compare two class maps (H, W); how many pixels differ."""
        pairs = np.zeros(65536, np.int64)
        for top in range(0, before.shape[0], _BAND_PX):
            rows = slice(top, top + _BAND_PX)
            pairs += np.bincount((before[rows].astype(np.int32) * 256 + after[rows]).ravel(), minlength=65536)
        table = pairs.reshape(256, 256)
        self._pairs += table
        return int(table.sum() - np.trace(table))

    @property
    def mean_iou(self) -> float | None:
        """Mean over the classes that occur, 255 left out; None when none does."""
        hits = np.diag(self._pairs)
        union = self._pairs.sum(0) + self._pairs.sum(1) - hits
        occurs = union > 0
        occurs[UNLABELLED] = False
        return float((hits[occurs] / union[occurs]).mean()) if occurs.any() else None
