"""Which images the words of a search mean: by name, by status, or by a class that is in their mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pspnet_core.classes import ClassSet
from pspnet_core.project.records import Status

_LEAST_LETTERS = 3
"""Shorter words are looked for in names only: each letter that is typed would find something else."""


def row_matcher(
    words: Sequence[str],
    keys: Sequence[str],
    statuses: Sequence[Status],
    class_ids: Sequence[Sequence[int]],
    classes: ClassSet,
    status_names: dict[Status, str],
) -> Callable[[int], bool]:
    """A function that says whether the item of a row has every word.

    Args:
        words: In lower case.
        keys: Of the items by row, in lower case; a word may be any part of one.
        statuses: By row; a word may be the whole name of one.
        class_ids: In the mask when it was last saved, by row; a word may be the beginning of the name of a class.
        classes: Of the project.
        status_names: In the language of the person.
    """
    named = [
        (
            word,
            {
                status
                for status, name in status_names.items()
                if len(word) >= _LEAST_LETTERS and name.casefold() == word
            },
            {c.index for c in classes if len(word) >= _LEAST_LETTERS and c.name.casefold().startswith(word)},
        )
        for word in words
    ]

    def matches(row: int) -> bool:
        for word, wanted, ids in named:
            if word not in keys[row] and statuses[row] not in wanted and ids.isdisjoint(class_ids[row]):
                return False
        return True

    return matches
