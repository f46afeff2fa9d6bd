"""MaskPatch: reversible, small, and never silently wrong when read back."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.errors import ProjectError
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import Rect


def random_states(seed, width=40, height=30):
    rng = np.random.default_rng(seed)
    old = rng.integers(0, 4, (2, height, width), dtype=np.uint8)
    new = old.copy()
    x, y = rng.integers(0, width), rng.integers(0, height)
    area = new[:, y : y + 9, x : x + 11]
    area[...] = rng.integers(0, 4, area.shape, dtype=np.uint8)
    return old, new


def patch_of(old, new, rect=None, version=None):
    rect = rect or Rect.of_array(old[0])
    block = PatchBlock.between(rect, old[0], new[0], old[1], new[1])
    return MaskPatch.of("a/ü.jpg", "Brush", [block], version)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_apply_and_revert_are_exact_also_after_a_round_trip(seed) -> None:
    old, new = random_states(seed)
    patch = patch_of(old, new, version=3)
    if patch is None:
        assert (old == new).all()
        return
    copy = MaskPatch.from_bytes(patch.to_bytes())
    assert (copy.item_key, copy.label, copy.rect, copy.version) == ("a/ü.jpg", "Brush", patch.rect, 3)
    planes = [PlaneStore.from_array(plane, 255) for plane in old]
    for edit in (patch, copy):
        edit.apply(*planes)
        np.testing.assert_array_equal([p.to_array() for p in planes], new)
        edit.revert(*planes)
        np.testing.assert_array_equal([p.to_array() for p in planes], old)


def test_keeps_only_the_box_and_the_pixels_that_changed() -> None:
    old = np.zeros((2, 100, 100), np.uint8)
    new = old.copy()
    new[0, 20, 30] = 1
    new[1, 24, 33] = 2
    patch = patch_of(old, new)
    assert patch is not None
    assert patch.rect == Rect(30, 20, 4, 5)
    assert patch.num_changed == 2
    assert patch.nbytes == 20 + 2 + 1 + 1 + 2  # the box, and the values: one where both are equal
    assert patch.blocks[0].new_class.tolist() == [1, 0]
    assert patch.blocks[0].new_provenance.tolist() == [0, 2]


def test_rect_places_the_arrays_in_the_image() -> None:
    old = np.zeros((2, 3, 3), np.uint8)
    new = old + np.uint8(1)
    patch = patch_of(old, new, Rect(600, 5, 3, 3))
    assert patch is not None
    planes = PlaneStore(700, 20), PlaneStore(700, 20)
    patch.apply(*planes)
    assert planes[0].read(Rect(599, 5, 4, 1)).tolist() == [[0, 1, 1, 1]]


def test_nothing_changed_is_no_patch() -> None:
    old = np.zeros((2, 5, 5), np.uint8)
    assert patch_of(old, old.copy()) is None


def test_a_patch_of_another_image_size_is_refused() -> None:
    old = np.zeros((2, 5, 5), np.uint8)
    patch = patch_of(old, old + np.uint8(1))
    assert patch is not None
    with pytest.raises(ValueError, match="reaches over"):
        patch.apply(PlaneStore(4, 5), PlaneStore(4, 5))
    with pytest.raises(ValueError, match="expected"):
        patch_of(old, old, Rect(0, 0, 4, 5))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.data())
def test_one_wrong_byte_or_a_cut_is_always_noticed(seed, data) -> None:
    old, new = random_states(seed)
    new[0, 0, 0] ^= 1
    patch = patch_of(old, new)
    assert patch is not None
    record = patch.to_bytes()
    position = data.draw(st.integers(0, len(record) - 1))
    damaged = bytearray(record)
    damaged[position] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(damaged), record[:position], record + b"x"):
        with pytest.raises(ProjectError):
            MaskPatch.from_bytes(bad)


def test_a_newer_format_says_so() -> None:
    old = np.zeros((2, 5, 5), np.uint8)
    patch = patch_of(old, old + np.uint8(1))
    assert patch is not None
    record = bytearray(patch.to_bytes())
    struct.pack_into("<B", record, 4, 2)
    with pytest.raises(ProjectError, match="format 2") as caught:
        MaskPatch.from_bytes(bytes(record))
    assert "newer" in caught.value.remedy


def test_a_stroke_is_a_small_record() -> None:
    """A brush stroke of 20 px over a 12 MP image stays in the kilobytes (a full copy would be 24 MB)."""
    from pspnet_core.imaging.strokes import brush_segment

    rect, mask = brush_segment((100, 100), (700, 400), 20, (3000, 4000))
    before = np.full((rect.h, rect.w), 255, np.uint8)
    after = np.where(mask, 1, before).astype(np.uint8)
    nothing = np.zeros_like(before)
    block = PatchBlock.between(rect, before, after, nothing, mask.astype(np.uint8) * 2)
    patch = MaskPatch.of("a", "Brush", [block])
    assert patch is not None
    assert len(patch.to_bytes()) < 8_000


def test_blocks_far_apart_cost_what_they_hold_and_survive_a_round_trip() -> None:
    size = 4000
    planes = PlaneStore(size, size, 255), PlaneStore(size, size)
    ones, nothing = np.ones((9, 7), np.uint8), np.zeros((9, 7), np.uint8)
    places = [Rect(3, 5, 7, 9), Rect(3900, 3950, 7, 9), Rect(2000, 10, 7, 9)]
    blocks = [PatchBlock.between(place, ones * 255, ones * 4, nothing, ones * 2) for place in places]
    patch = MaskPatch.of("a", "brush", [*blocks, None], 7)
    assert patch is not None
    assert patch.nbytes == 3 * 5  # all pixels of a block change alike
    assert patch.rect == Rect(3, 5, 3904, 3954)
    copy = MaskPatch.from_bytes(patch.to_bytes())
    assert [block.rect for block in copy.blocks] == places
    copy.apply(*planes)
    assert planes[0].read(Rect(3899, 3950, 2, 1)).tolist() == [[255, 4]]
    assert np.count_nonzero(planes[1].to_array() == 2) == 3 * 63
    copy.revert(*planes)
    assert (planes[0].to_array() == 255).all()
    assert not planes[1].to_array().any()


def test_the_head_tells_what_a_step_was_without_its_pixels() -> None:
    old, new = random_states(3)
    patch = patch_of(old, new, version=4)
    assert patch is not None
    assert MaskPatch.head_of(patch.to_bytes()) == patch.head
    assert (patch.head.label, patch.head.version, patch.head.nbytes) == ("Brush", 4, patch.nbytes)
    assert patch.head.class_id is None
    one = old.copy()
    one[0, 3:6, 4:9] = 7
    same = patch_of(old, one)
    assert same is not None
    assert MaskPatch.head_of(same.to_bytes()).class_id == 7
    with pytest.raises(ProjectError):
        MaskPatch.head_of(patch.to_bytes()[:-1])
