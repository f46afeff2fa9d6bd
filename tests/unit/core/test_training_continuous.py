"""When a fine-tune begins by itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from pspnet_core.project.records import Item, ItemState, Split, Status
from pspnet_core.training.continuous import corrected_since, is_due, labels_of


def items(**splits):
    return [Item(key, Path(key), 0, Split(split)) for key, split in splits.items()]


def test_images_count_whose_labels_changed_since_the_last_fine_tune():
    all_items = items(a="none", b="train", c="test", d="none", e="none")
    states = {key: ItemState(Status.IN_PROGRESS, 50, 100, 50, 0) for key in "abc"}
    assert corrected_since(all_items, states, []) == ["a", "b"]
    records = [{"labels": labels_of(states)}, {"imported": {}}]
    assert corrected_since(all_items, states, records) == []
    states["a"] = replace(states["a"], painted_px=60, labelled_px=60)
    states["d"] = ItemState(Status.DONE, 100, 100, 0, 100)
    states["e"] = ItemState(Status.SKIPPED, 100, 100, 0, 100)
    assert corrected_since(all_items, states, records) == ["a", "d"]
    states["a"] = replace(states["a"], labelled_px=0, painted_px=0)  # all of it erased: that is a correction, too
    assert corrected_since(all_items, states, records) == ["a", "d"]
    assert corrected_since(all_items, states, [*records, {"labels": "damaged"}]) == ["a", "d"]


def test_what_was_only_opened_is_not_corrected():
    assert corrected_since(items(a="none"), {"a": ItemState(prediction_shown=True)}, []) == []
    assert corrected_since(items(a="none"), {"a": ItemState(total_px=9, labelled_px=0)}, []) == []


def test_due_after_so_many():
    assert [is_due(n, 3) for n in (0, 2, 3, 4)] == [False, False, True, True]
    assert not is_due(9, 0)
    with pytest.raises(ValueError, match="negative"):
        is_due(-1, 3)
