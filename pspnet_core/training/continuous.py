"""When to fine-tune again by itself. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pspnet_core.project.records import Item, ItemState, Split, Status

Labels = dict[str, list[int]]
"""Key of an item -> labelled, painted and accepted pixels; -1 where they were not counted."""


def labels_of(states: Mapping[str, ItemState]) -> Labels:
    """How the labels of items stand, for the record of a version."""
    rows = {key: (s.labelled_px, s.painted_px, s.accepted_px) for key, s in states.items()}
    return {key: [-1 if n is None else n for n in row] for key, row in rows.items()}


def corrected_since(
    items: Sequence[Item], states: Mapping[str, ItemState], records: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Keys of the items to learn from whose labels changed since the last fine-tune.

    Args:
        items: Of the project.
        states: Of its items; one that is not in it is new.
        records: Of its versions, oldest first. Imported ones, and those of before this was recorded, do not tell.
    """
    known = next((labels for record in reversed(records) if isinstance(labels := record.get("labels"), dict)), {})
    changed = []
    for item in items:
        state = states.get(item.key)
        if state is None or item.split is Split.TEST or state.status is Status.SKIPPED or not state.total_px:
            continue
        if labels_of({item.key: state})[item.key] != known.get(item.key) and (state.labelled_px or item.key in known):
            changed.append(item.key)
    return changed


def is_due(num_corrected: int, every: int) -> bool:
    """Whether so many corrected items call for a fine-tune, when one is wanted after ``every`` of them; 0 is never.

    Raises:
        ValueError: A number is negative.
    """
    if num_corrected < 0 or every < 0:
        raise ValueError(f"numbers of images must not be negative, found {num_corrected} and {every}")
    return 0 < every <= num_corrected
