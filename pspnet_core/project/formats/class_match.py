"""Which class of a project each class of a source is: by name, and what happens to the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pspnet_core.classes import MAX_CLASSES, ClassSet, Color
from pspnet_core.errors import ClassSetError
from pspnet_core.project.formats.reading import SourceClass
from pspnet_core.project.formats.source_files import SourceError

SKIP = ""
"""Instead of a name: pixels of this class are left out."""

AddClass = Callable[[str, Color | None, int], int]
"""Name, colour and wanted id -> id of the new class."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One row of the preview.

    Attributes:
        name: In the source.
        target: Name of the class that it is or becomes; None when its pixels are left out.
        class_id: Id of that class where it exists; None for a new one.
    """

    name: str
    target: str | None
    class_id: int | None

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"name": self.name, "target": self.target, "id": self.class_id}


class ClassMatch:
    """Looks classes up by name; a new one is added when its first pixel is met.

    Names are equal when they are the same text; else where they are when case, and " ", "-" and "_", do not count, and
    only one class fits.

    Args:
        source: The class table of the source.
        classes: Of the project.
        choices: Other names for classes of the source; :data:`SKIP` leaves one out.
        add: Adds a class to the project.

    Raises:
        SourceError: A choice names a class that the source does not have.
    """

    def __init__(
        self,
        source: Sequence[SourceClass],
        classes: ClassSet,
        choices: Mapping[str, str],
        add: AddClass,
    ) -> None:
        unknown = choices.keys() - {c.name for c in source}
        if unknown:
            raise SourceError(
                f"The source has no class {min(unknown)!r}.",
                f"It has {', '.join(c.name for c in source[:20])}.",
                "Choose among these names.",
            )
        self._source, self._add = source, add
        self._ids: dict[int, int | None] = {}
        self.added: list[str] = []
        self.rows = tuple(self._row(c, classes, choices) for c in source)
        self._new = {row.target: None for row in self.rows if row.class_id is None and row.target is not None}
        self._made: dict[str, int] = {}

    @property
    def used(self) -> tuple[ClassRow, ...]:
        """Rows of the classes that were met."""
        return tuple(self.rows[position] for position in sorted(self._ids))

    def id_of(self, position: int) -> int | None:
        """Class id for a position in the table; None where its pixels are left out.

        Raises:
            ClassSetError: No id is left for a new class.
        """
        if position not in self._ids:
            self._ids[position] = self._find(position)
        return self._ids[position]

    def _find(self, position: int) -> int | None:
        row, source = self.rows[position], self._source[position]
        if row.target is None or row.class_id is not None:
            return row.class_id
        if row.target not in self._made:
            try:
                self._made[row.target] = self._add(row.target, source.color, source.wanted)
            except ClassSetError as error:
                raise ClassSetError(
                    f"There is no id left for the class {row.target!r}.",
                    f"The source has {len(self._source)} classes; a project holds at most {MAX_CLASSES}. {error.title}",
                    "Leave classes out, or give several the same name.",
                ) from error
            self.added.append(row.target)
        return self._made[row.target]

    def _row(self, source: SourceClass, classes: ClassSet, choices: Mapping[str, str]) -> ClassRow:
        name = choices.get(source.name, source.name)
        if name == SKIP:
            return ClassRow(source.name, None, None)
        if source.is_id and source.name not in choices and source.wanted in classes:
            return ClassRow(source.name, classes[source.wanted].name, source.wanted)
        exact = [c for c in classes if c.name == name]
        alike = exact or [c for c in classes if _plain(c.name) == _plain(name)]
        if len(alike) == 1:
            return ClassRow(source.name, alike[0].name, alike[0].index)
        return ClassRow(source.name, name, None)


def _plain(name: str) -> str:
    return "".join(" " if c in "-_" else c for c in name.casefold()).strip()
