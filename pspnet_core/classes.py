"""Classes and class sets.

The id (``index``) of a class is its pixel value in a class map, 0 to 254. It is never reused, also not after the class
was removed; order, name and colour are separate from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.errors import ClassSetError
from pspnet_core.types import UNLABELLED

MAX_CLASSES = 255

Color = tuple[int, int, int]

# Strong, mutually distant colours that stay apart over photographs and for colour-blind eyes as far as twelve can:
# Okabe and Ito, "Color Universal Design" (2008), first eight without black; then darker or lighter companions.
DEFAULT_COLORS: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (148, 103, 189),
    (188, 189, 34),
    (23, 190, 207),
    (227, 26, 28),
    (166, 118, 29),
)


@dataclass(frozen=True, slots=True)
class ClassDef:
    """One class.

    Attributes:
        index: Class id = pixel value, 0 to 254.
        name: Shown to people; unique in its set, not empty.
        color: RGB, 0 to 255 each.
        visible: Whether the overlay shows it.
    """

    index: int
    name: str
    color: Color
    visible: bool = True


class ClassSet:
    """An ordered, immutable set of classes; every change gives a new set.

    Args:
        classes: In display order.
        next_index: Where the ids of new classes go on; at least one more than the largest id.
        reserved: Ids without a class that no new class may get: those of removed classes, and those that lie in
            masks. When None, all below ``next_index``.

    Raises:
        ClassSetError: An id outside 0 to 254 or twice, an empty or double name, more than 255 classes.
    """

    __slots__ = ("_by_index", "_classes", "next_index", "reserved")

    def __init__(
        self, classes: Iterable[ClassDef] = (), next_index: int = 0, reserved: Iterable[int] | None = None
    ) -> None:
        self._classes = tuple(classes)
        if len(self._classes) > MAX_CLASSES:
            raise ClassSetError(
                f"{len(self._classes)} classes are more than a class map can hold.",
                f"At most {MAX_CLASSES} are possible: one byte per pixel, 255 means unlabelled.",
                "Merge classes before importing.",
            )
        self._by_index = {c.index: c for c in self._classes}
        if len(self._by_index) != len(self._classes):
            raise ClassSetError("Two classes have the same id.", f"Ids: {[c.index for c in self._classes]}.")
        for c in self._classes:
            if not 0 <= c.index < UNLABELLED:
                raise ClassSetError(f"Class id {c.index} is not possible.", "Ids are 0 to 254; 255 means unlabelled.")
            if not c.name.strip():
                raise ClassSetError(f"Class {c.index} has no name.")
            if len(c.color) != 3 or not all(0 <= v <= 255 for v in c.color):
                raise ClassSetError(
                    f"Class {c.name!r} has an impossible colour {c.color}.", "Expected three values 0 to 255."
                )
        names = [c.name for c in self._classes]
        if len(set(names)) != len(names):
            double = next(n for n in names if names.count(n) > 1)
            raise ClassSetError(f"There are two classes named {double!r}.", remedy="Choose another name.")
        self.next_index = max(next_index, max((c.index + 1 for c in self._classes), default=0))
        # What a writer who knew of no reserved ids may have used.
        without = range(min(next_index, UNLABELLED)) if reserved is None else reserved
        self.reserved = frozenset(without) - self._by_index.keys()

    def __iter__(self) -> Iterator[ClassDef]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, index: object) -> bool:
        return index in self._by_index

    def __getitem__(self, index: int) -> ClassDef:
        """The class with id ``index``; KeyError when there is none."""
        return self._by_index[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassSet) and self._state == other._state

    def __hash__(self) -> int:
        return hash(self._state)

    def __repr__(self) -> str:
        return f"ClassSet({[(c.index, c.name) for c in self._classes]})"

    @property
    def indices(self) -> tuple[int, ...]:
        """Class ids in display order."""
        return tuple(c.index for c in self._classes)

    @property
    def free_indices(self) -> tuple[int, ...]:
        """Ids for new classes, in the order in which they are given: from ``next_index`` up, then smaller ones."""
        order = (*range(self.next_index, UNLABELLED), *range(min(self.next_index, UNLABELLED)))
        return tuple(index for index in order if index not in self._by_index and index not in self.reserved)

    @property
    def _state(self) -> tuple[tuple[ClassDef, ...], int, frozenset[int]]:
        return self._classes, self.next_index, self.reserved

    @property
    def names(self) -> tuple[str, ...]:
        """Names in display order."""
        return tuple(c.name for c in self._classes)

    def add(self, name: str, color: Color | None = None, index: int | None = None) -> ClassSet:
        """A set with one more class, at the end.

        Args:
            name: Its name.
            color: RGB; the next default colour when not given.
            index: Its id, also a reserved one; the first free one when not given.

        Raises:
            ClassSetError: The name or id is taken, or no id is left.
        """
        free = self.free_indices if index is None else (index,)
        if not free:
            raise ClassSetError(
                "No class id is left.",
                f"All {MAX_CLASSES} ids of this project were used; ids are never reused.",
                "Merge classes, or start a new project.",
            )
        new = ClassDef(free[0], name.strip(), color or self._free_color(free[0]))
        return ClassSet((*self._classes, new), self.next_index, self.reserved)

    def reserve(self, indices: Iterable[int]) -> ClassSet:
        """A set in which no new class gets one of these ids."""
        return ClassSet(self._classes, self.next_index, self.reserved.union(indices))

    def change(
        self, index: int, *, name: str | None = None, color: Color | None = None, visible: bool | None = None
    ) -> ClassSet:
        """A set in which the class with id ``index`` has another name, colour or visibility."""
        old = self[index]
        new = replace(
            old,
            name=old.name if name is None else name.strip(),
            color=old.color if color is None else color,
            visible=old.visible if visible is None else visible,
        )
        return ClassSet((new if c.index == index else c for c in self._classes), self.next_index, self.reserved)

    def lut(self) -> NDArray[np.uint8]:
        """Lookup table class id -> RGB: (256, 3) uint8; ids that are not in the set are grey, 255 is black."""
        table = np.full((256, 3), 128, np.uint8)
        table[UNLABELLED] = 0
        for c in self._classes:
            table[c.index] = c.color
        return table

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as in ``classes.json`` plus our own keys."""
        rows = [
            {"index": c.index, "name": c.name, "color": list(c.color)} | ({} if c.visible else {"visible": False})
            for c in self._classes
        ]
        return {"classes": rows, "next_index": self.next_index, "reserved": sorted(self.reserved)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClassSet:
        """Read what :meth:`to_json` or a data set's ``classes.json`` holds.

        Raises:
            ClassSetError: It is not a class table.
        """
        try:
            classes = [
                ClassDef(
                    int(row["index"]),
                    str(row["name"]).strip(),
                    _color(row["color"]) if "color" in row else DEFAULT_COLORS[int(row["index"]) % len(DEFAULT_COLORS)],
                    bool(row.get("visible", True)),
                )
                for row in data["classes"]
            ]
            next_index = int(data.get("next_index", 0))
            reserved = None if "reserved" not in data else [int(index) for index in data["reserved"]]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ClassSetError(
                "The class table could not be read.",
                f"Expected {{'classes': [{{'index', 'name', 'color'}}]}}; found: {error!r}.",
            ) from error
        return ClassSet(classes, next_index, reserved)

    def _free_color(self, index: int) -> Color:
        used = {c.color for c in self._classes}
        for color in DEFAULT_COLORS:
            if color not in used:
                return color
        rng = np.random.default_rng(index)
        return tuple(int(v) for v in rng.integers(40, 240, 3))  # type: ignore[return-value]


def _color(value: Any) -> Color:
    r, g, b = (int(v) for v in value)
    return r, g, b
