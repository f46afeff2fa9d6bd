"""Operations on class regions against scipy's morphology and against their definitions, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from pspnet_core.imaging.changes import RegionChange, allowed_pixels, changes_in_blocks
from pspnet_core.imaging.morphology import near
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.regions import convert, fill_holes, grow, remove_islands, shrink, smooth
from pspnet_core.types import Rect
from tests.helpers.areas import paste

FOUR = ndimage.generate_binary_structure(2, 1)


@st.composite
def class_maps(draw) -> np.ndarray:
    """Patches of classes 0, 1, 2 and 255 with specks: holes, islands, thin bridges."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 50))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([1, 3, 7]))
    ids = np.array([0, 1, 2, 255], np.uint8)[: draw(st.integers(1, 4))]
    coarse = random.choice(ids, (height // size + 1, width // size + 1))
    classes = coarse.repeat(size, 0).repeat(size, 1)[:height, :width].copy()
    specks = random.random(classes.shape) < draw(st.sampled_from([0, 0.05]))
    classes[specks] = random.choice(ids, np.count_nonzero(specks))
    return classes


CLASS_IDS = st.sampled_from([0, 1, 2, 255])


def applied(change: RegionChange, classes: np.ndarray) -> np.ndarray:
    """The class map after the change, once the change itself is checked."""
    assert change.class_ids.shape == change.mask.shape
    assert change.class_ids.dtype == np.uint8
    mask = paste((change.rect, change.mask), classes.shape)
    assert change.num_pixels == mask.sum()
    out = classes.copy()
    out[change.rect.slices][change.mask] = change.class_ids[change.mask]
    assert (out != classes)[mask].all(), "a pixel is said to change that does not"
    return out


def distance_to(mask: np.ndarray) -> np.ndarray:
    """Squared distance of each pixel centre to the nearest True one, by brute force."""
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return np.full(mask.shape, 10**9)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    return ((y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2).min(axis=2)


def limited(after: np.ndarray, classes: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
    return after if allowed is None else np.where(allowed, after, classes)


@st.composite
def cases(draw) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Class map, class, and which pixels may change."""
    classes = draw(class_maps())
    kind = draw(st.sampled_from(["all", "locked", "unlabelled"]))
    allowed = None
    if kind != "all":
        allowed = allowed_pixels(classes, [2], only_unlabelled=kind == "unlabelled")
    return classes, draw(CLASS_IDS), allowed


@given(class_maps(), st.sets(CLASS_IDS), st.booleans())
def test_allowed_pixels(classes, locked, only_unlabelled) -> None:
    expected = ~np.isin(classes, list(locked))
    if only_unlabelled:
        expected &= classes == 255
    np.testing.assert_array_equal(allowed_pixels(classes, locked, only_unlabelled), expected)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 30))
def test_holes(case, max_px) -> None:
    classes, class_id, allowed = case
    own = classes == class_id
    holes = ndimage.binary_fill_holes(own, FOUR) & ~own
    if max_px:
        labels = label(holes, connectivity=1)
        holes &= np.bincount(labels.ravel())[labels] <= max_px
    expected = limited(np.where(holes, class_id, classes), classes, allowed)
    np.testing.assert_array_equal(applied(fill_holes(classes, class_id, max_px, allowed), classes), expected)


def most_beside(classes: np.ndarray, region: np.ndarray, class_id: int) -> int:
    """The class with most sides to a region, the lowest of several; the region's own when it stands alone."""
    votes = np.zeros(256, int)
    for row, column in zip(*np.nonzero(region), strict=True):
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= y < classes.shape[0] and 0 <= x < classes.shape[1] and classes[y, x] != class_id:
                votes[classes[y, x]] += 1
    return int(votes.argmax()) if votes.any() else class_id


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 40), st.sampled_from(["unlabelled", "surrounding"]), st.sampled_from([4, 8]))
def test_islands(case, min_px, replacement, connectivity) -> None:
    classes, class_id, allowed = case
    labels = label(classes == class_id, connectivity=connectivity // 4)
    after = classes.copy()
    for number in range(1, labels.max() + 1):
        region = labels == number
        if region.sum() < min_px:
            after[region] = 255 if replacement == "unlabelled" else most_beside(classes, region, class_id)
    change = remove_islands(classes, class_id, min_px, replacement, allowed, connectivity)
    np.testing.assert_array_equal(applied(change, classes), limited(after, classes, allowed))


RADII = st.one_of(st.floats(0, 6), st.integers(0, 40))


@settings(max_examples=100, deadline=None)
@given(cases(), RADII)
def test_grow(case, radius) -> None:
    classes, class_id, allowed = case
    reached = distance_to(classes == class_id) <= radius * radius
    expected = limited(np.where(reached, class_id, classes), classes, allowed)
    np.testing.assert_array_equal(applied(grow(classes, class_id, radius, allowed), classes), expected)


@settings(max_examples=100, deadline=None)
@given(cases(), RADII, st.sampled_from(["unlabelled", "surrounding"]))
def test_shrink(case, radius, replacement) -> None:
    classes, class_id, allowed = case
    own = classes == class_id
    squared = distance_to(~own)
    lost = own & (squared <= radius * radius)
    if allowed is not None:
        lost &= allowed
    change = shrink(classes, class_id, radius, replacement, allowed)
    after = applied(change, classes)
    if replacement == "unlabelled":
        np.testing.assert_array_equal(after, np.where(lost, 255, classes))
        return
    np.testing.assert_array_equal(after != classes, lost)
    for new_class in np.unique(after[lost]):
        pixels = lost & (after == new_class)
        assert (np.sqrt(distance_to(classes == new_class)) <= np.sqrt(squared) * 1.03)[pixels].all(), "not the nearest"


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 4))
def test_majority(case, radius) -> None:
    classes, class_id, allowed = case
    own = classes == class_id
    after = own.copy()
    for row, column in np.ndindex(classes.shape):
        around = own[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
        if 2 * around.sum() != around.size:
            after[row, column] = 2 * around.sum() > around.size
    change = smooth(classes, class_id, radius, "majority", "unlabelled", allowed)
    expected = np.where(after & ~own, class_id, np.where(own & ~after, 255, classes))
    np.testing.assert_array_equal(applied(change, classes), limited(expected, classes, allowed))
    surrounding = applied(smooth(classes, class_id, radius, "majority", "surrounding", allowed), classes)
    np.testing.assert_array_equal((surrounding == class_id), limited(after, own, allowed))


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(1, 5))
def test_open_close(case, radius) -> None:
    classes, class_id, allowed = case
    own = classes == class_id
    margin = 6 * radius
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * radius
    opened = ndimage.binary_opening(np.pad(own, margin, mode="edge"), disc)
    after = ndimage.binary_closing(opened, disc)[margin:-margin, margin:-margin]
    expected = np.where(after & ~own, class_id, np.where(own & ~after, 255, classes))
    change = smooth(classes, class_id, radius, "open-close", "unlabelled", allowed)
    np.testing.assert_array_equal(applied(change, classes), limited(expected, classes, allowed))


@given(cases(), CLASS_IDS)
def test_convert(case, to_id) -> None:
    classes, class_id, allowed = case
    expected = limited(np.where(classes == class_id, to_id, classes), classes, allowed)
    np.testing.assert_array_equal(applied(convert(classes, class_id, to_id, allowed), classes), expected)


@settings(max_examples=20, deadline=None)
@given(class_maps(), st.floats(1, 60))
def test_growing_by_distance_and_by_a_disc_agree(classes, radius) -> None:
    mask = classes == 1
    np.testing.assert_array_equal(near(mask, radius), mask | (distance_to(mask) <= radius * radius))


OPERATIONS = [
    (lambda c: grow(c, 1, 3, allowed_pixels(c, [2])), 3),
    (lambda c: shrink(c, 1, 3, "surrounding"), 6),
    (lambda c: smooth(c, 1, 2), 8),
    (lambda c: smooth(c, 1, 2, "open-close"), 8),
    (lambda c: convert(c, 1, 2), 0),
    (lambda c: remove_islands(c, 1, 12), 13),
    (lambda c: fill_holes(c, 1, 9), 10),
]


@settings(max_examples=30, deadline=None)
@given(class_maps(), st.sampled_from([5, 13, 64]))
def test_in_blocks_is_the_same_as_at_once(classes, block_px) -> None:
    plane = PlaneStore.from_array(classes, 255)
    for operation, margin in OPERATIONS:
        after = classes.copy()
        for change in changes_in_blocks(plane.read, plane.shape, operation, margin, block_px):
            assert change.mask.any()
            after = applied(change, after)
        np.testing.assert_array_equal(after, applied(operation(classes), classes))


def test_a_shifted_change() -> None:
    classes = np.zeros((9, 9), np.uint8)
    classes[3, 4] = 7
    change = convert(classes, 7, 1)
    assert change.rect == Rect(4, 3, 1, 1)
    assert change.shifted(100, 50).rect == Rect(104, 53, 1, 1)
    assert convert(classes, 8, 1).shifted(100, 50).rect == Rect(0, 0, 0, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: grow(c, 256, 3),
        lambda c: grow(c, 1, -1),
        lambda c: grow(c, 1, math.nan),
        lambda c: shrink(c.astype(int), 1, 3),
        lambda c: smooth(c, 1, 0),
        lambda c: smooth(c, 1, 101),
        lambda c: fill_holes(c, 1, -1),
        lambda c: fill_holes(c, 1, 0, np.ones((2, 2), bool)),
        lambda c: remove_islands(c, 1, 3, "surrounding", c),
        lambda c: convert(c, 1, -1),
        lambda c: allowed_pixels(c, [256]),
        lambda c: changes_in_blocks(lambda r: c[r.slices], c.shape, lambda b: convert(b, 1, 2), -1),
    ],
)
def test_wrong_arguments_are_refused(call) -> None:
    with pytest.raises(ValueError, match=r"class id|at least|1 to 100|uint8|does not fit"):
        call(np.zeros((6, 7), np.uint8))
