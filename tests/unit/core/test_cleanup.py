"""Clean-ups of several classes at once, and of images by blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging import regions
from pspnet_core.imaging.changes import RegionChange
from pspnet_core.imaging.cleanup import CleanUp, clean_up_blocks, cleaned_up
from pspnet_core.types import UNLABELLED

OPERATIONS = ("holes", "islands", "grow", "shrink", "smooth")


def applied(class_map: np.ndarray, *changes: RegionChange) -> np.ndarray:
    out = class_map.copy()
    for rect, mask, class_ids in changes:
        np.copyto(out[rect.slices], class_ids, where=mask)
    return out


def ragged(seed: int, height: int = 90, width: int = 110) -> np.ndarray:
    """Blobs of three classes and unlabelled pixels, with specks."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array([0, 1, 2, UNLABELLED], np.uint8), (height // 10, width // 10))
    class_map = np.kron(coarse, np.ones((10, 10), np.uint8))
    specks = rng.random(class_map.shape) < 0.02
    class_map[specks] = rng.choice(np.array([0, 1, 2, UNLABELLED], np.uint8), int(specks.sum()))
    return class_map


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_class_is_what_the_operation_of_one_class_does(operation: str) -> None:
    class_map = ragged(0)
    single = {
        "holes": lambda: regions.fill_holes(class_map, 1, 3),
        "islands": lambda: regions.remove_islands(class_map, 1, 3),
        "grow": lambda: regions.grow(class_map, 1, 3),
        "shrink": lambda: regions.shrink(class_map, 1, 3, "surrounding"),
        "smooth": lambda: regions.smooth(class_map, 1, 3),
    }[operation]()
    change = cleaned_up(class_map, CleanUp(operation, 3, (1,)))  # type: ignore[arg-type]
    assert change.num_pixels > 0
    assert np.array_equal(applied(class_map, change), applied(class_map, single))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(OPERATIONS), st.integers(1, 5))
def test_blocks_give_what_the_whole_gives(seed: int, operation: str, amount: int) -> None:
    class_map = ragged(seed)
    task = CleanUp(operation, amount, (0, 1, 2))  # type: ignore[arg-type]
    whole = cleaned_up(class_map, task)
    parts = list(clean_up_blocks(lambda rect: class_map[rect.slices], class_map.shape, task, block_px=24))
    assert len(parts) > 1
    assert np.array_equal(applied(class_map, *parts), applied(class_map, whole))


def test_classes_grow_together_each_as_far_as_it_is_nearer() -> None:
    class_map = np.full((20, 40), UNLABELLED, np.uint8)
    class_map[:, :10], class_map[:, 30:] = 0, 1
    grown = applied(class_map, cleaned_up(class_map, CleanUp("grow", 100, (0, 1))))
    assert (grown[:, :20] == 0).all()
    assert (grown[:, 20:] == 1).all()
    by_three = applied(class_map, cleaned_up(class_map, CleanUp("grow", 3, (0, 1))))
    assert (by_three[:, 10:13] == 0).all()
    assert (by_three[:, 13:27] == UNLABELLED).all()
    assert cleaned_up(np.full((5, 5), UNLABELLED, np.uint8), CleanUp("grow", 3, (0, 1))).num_pixels == 0


def test_classes_that_shrink_leave_a_gap_and_do_not_change_places() -> None:
    class_map = np.zeros((10, 20), np.uint8)
    class_map[:, 10:] = 1
    shrunk = applied(class_map, cleaned_up(class_map, CleanUp("shrink", 2, (0, 1), "surrounding")))
    assert (shrunk[:, 8:12] == UNLABELLED).all()
    assert (shrunk[:, :8] == 0).all()
    assert (shrunk[:, 12:] == 1).all()


def test_the_first_class_gets_what_two_want() -> None:
    class_map = np.zeros((30, 30), np.uint8)
    class_map[5:25, 5:25] = 1
    class_map[10:20, 10:20] = UNLABELLED
    filled = applied(class_map, cleaned_up(class_map, CleanUp("holes", 1000, (1, 0))))
    assert (filled[10:20, 10:20] == 1).all()
    assert (filled[5:10, 5:25] == 0).all(), "that is a hole of the other"


def test_locked_and_labelled_pixels_stay() -> None:
    class_map = ragged(3)
    task = CleanUp("smooth", 4, (0, 1, 2))
    locked = applied(class_map, *clean_up_blocks(lambda r: class_map[r.slices], class_map.shape, task, frozenset({1})))
    assert np.array_equal(locked[class_map == 1], class_map[class_map == 1])
    assert not np.array_equal(locked, class_map)
    only = applied(
        class_map, *clean_up_blocks(lambda r: class_map[r.slices], class_map.shape, task, only_unlabelled=True)
    )
    assert np.array_equal(only[class_map != UNLABELLED], class_map[class_map != UNLABELLED])


@pytest.mark.parametrize(("operation", "amount"), [("grow", 0), ("grow", 101), ("holes", 0)])
def test_numbers_out_of_range_are_refused(operation: str, amount: int) -> None:
    with pytest.raises(ValueError, match=operation):
        CleanUp(operation, amount, (0,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="255"):
        CleanUp("grow", 1, (255,))
