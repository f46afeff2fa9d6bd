"""PlaneStore against a plain array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging.planes import TILE_PX, PlaneStore
from pspnet_core.types import Rect

SIZES = st.integers(1, 2 * TILE_PX + 30)
RECTS = st.builds(Rect, st.integers(-80, 1100), st.integers(-80, 1100), st.integers(0, 700), st.integers(0, 700))


@settings(max_examples=30, deadline=None)
@given(SIZES, SIZES, st.lists(st.tuples(RECTS, st.integers(0, 255), st.booleans()), max_size=4), st.randoms())
def test_behaves_like_an_array_with_everything_clipped(width, height, edits, random) -> None:
    rng = np.random.default_rng(random.randrange(2**32))
    store, oracle = PlaneStore(width, height, 255), np.full((height, width), 255, np.uint8)
    for rect, value, masked in edits:
        part = rect.intersect(store.rect)
        cut = (
            slice(part.y - rect.y, part.bottom - rect.y),
            slice(part.x - rect.x, part.right - rect.x),
        )
        mask = rng.random((rect.h, rect.w)) < 0.3 if masked else np.ones((rect.h, rect.w), bool)
        if value % 2:
            store.fill(rect, mask if masked else None, value)
            values = np.full((rect.h, rect.w), value, np.uint8)
        else:
            values = rng.integers(0, 256, (rect.h, rect.w), dtype=np.uint8)
            store.write(rect, values, mask if masked else None)
        if not part.is_empty:
            oracle[part.slices][mask[cut]] = values[cut][mask[cut]]
            np.testing.assert_array_equal(store.read(rect), oracle[part.slices])
        else:
            assert store.read(rect).size == 0
    np.testing.assert_array_equal(store.to_array(), oracle)
    np.testing.assert_array_equal(PlaneStore.from_array(oracle, 255).to_array(), oracle)


def test_memory_is_taken_only_where_something_was_written() -> None:
    store = PlaneStore(100_000, 100_000, 255)
    assert store.nbytes == 0
    store.fill(store.rect.intersect(Rect(0, 0, 5000, 5000)), None, 255)
    store.write(Rect(0, 0, 600, 600), np.full((600, 600), 255, np.uint8))
    store.fill(Rect(0, 0, 600, 600), np.zeros((600, 600), bool), 3)
    assert store.nbytes == 0
    store.fill(Rect(50_000, 50_000, 1, 1), None, 3)
    assert store.nbytes == TILE_PX * TILE_PX
    assert store.read(Rect(49_999, 50_000, 3, 1)).tolist() == [[255, 3, 255]]


def test_border_tiles_are_cut_to_the_plane() -> None:
    store = PlaneStore(600, 10)
    store.fill(store.rect, None, 1)
    assert store.nbytes == 6000
    assert store.tile_rects(Rect(511, 5, 2, 1)) == [Rect(0, 0, 512, 10), Rect(512, 0, 88, 10)]
    assert store.tile_rects(Rect(700, 0, 5, 5)) == []


def test_what_is_read_is_a_copy() -> None:
    store = PlaneStore(4, 4)
    store.read(store.rect)[...] = 9
    store.fill(store.rect, None, 1)
    store.read(store.rect)[...] = 9
    assert (store.to_array() == 1).all()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        PlaneStore(0, 4)
    with pytest.raises(ValueError, match="0 to 255"):
        PlaneStore(4, 4, 256)
    store = PlaneStore(4, 4)
    with pytest.raises(ValueError, match="expected"):
        store.write(Rect(0, 0, 2, 3), np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="expected"):
        store.fill(Rect(0, 0, 2, 3), np.zeros((3, 2), np.uint8), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 to 255"):
        store.fill(Rect(0, 0, 1, 1), None, -1)
    with pytest.raises(ValueError, match="uint8"):
        PlaneStore.from_array(np.zeros((2, 2), np.int64))  # type: ignore[arg-type]


def test_a_snapshot_stays_as_it_was_and_copies_only_what_changes_later() -> None:
    store = PlaneStore(1100, 600, 255)
    store.fill(Rect(0, 0, 1100, 600), None, 1)
    before = store.to_array()
    snapshot = store.snapshot()
    shared = sum(np.shares_memory(store._tiles[key], tile) for key, tile in snapshot._tiles.items())
    assert shared == len(store._tiles) == 6
    store.fill(Rect(5, 5, 10, 10), None, 2)
    snapshot.write(Rect(600, 5, 1, 1), np.array([[3]], np.uint8))
    assert store.read(Rect(5, 5, 1, 1)) == 2
    assert store.read(Rect(600, 5, 1, 1)) == 1
    before[5, 600] = 3
    assert np.array_equal(snapshot.to_array(), before)
    assert sum(np.shares_memory(store._tiles[key], tile) for key, tile in snapshot._tiles.items()) == 4


def test_what_was_written_is_known_without_a_look_at_all_pixels() -> None:
    store = PlaneStore(1100, 600, 255)
    assert store.is_blank
    assert store.count_written() == 0
    assert store.written_rects() == []
    store.fill(Rect(1030, 520, 4, 5), None, 1)
    assert not store.is_blank
    assert store.count_written() == 20
    assert store.written_rects() == [Rect(1024, 512, 76, 88)]
    assert store.is_unwritten(Rect(0, 0, 1024, 600))
    assert not store.is_unwritten(Rect(1000, 500, 30, 30))
    store.fill(Rect(0, 0, 1100, 600), None, 255)
    assert store.is_blank
