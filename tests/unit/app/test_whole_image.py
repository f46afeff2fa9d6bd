"""Steps over a whole image: equal to the plain definition on any pixels, and quick enough for the hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Provenance
from pspnet_studio.model.document import Document

W, H = 300, 280


def random_document(seed: int, share: float) -> Document:
    """Blocks of every kind: untouched, all accepted, mixed."""
    rng = np.random.default_rng(seed)
    classes = np.full((H, W), UNLABELLED, np.uint8)
    provenance = np.zeros((H, W), np.uint8)
    mask = rng.random((H, W)) < share
    mask[:, 260:] = rng.random() < 0.5
    provenance[mask] = rng.integers(0, 5, np.count_nonzero(mask))
    labelled = mask & (provenance != Provenance.UNTOUCHED) & (provenance != Provenance.ERASED)
    classes[labelled] = rng.integers(0, 3, np.count_nonzero(labelled))
    document = Document(
        "a",
        np.zeros((H, W, 3), np.uint8),
        PlaneStore.from_array(classes, UNLABELLED),
        PlaneStore.from_array(provenance, Provenance.UNTOUCHED),
    )
    predicted = rng.integers(0, 3, (H, W)).astype(np.uint8)
    if rng.random() < 0.3:
        predicted[:] = 1
    document.set_prediction(Prediction(predicted, predicted), 1)
    return document


def planes(document: Document) -> tuple[np.ndarray, np.ndarray]:
    return document.class_plane.to_array(), document.provenance_plane.to_array()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.02, 0.5, 1.0]), st.sampled_from(["all", "unlabelled", "fill"]))
def test_a_step_is_what_it_is_defined_to_be_and_undoes_exactly(seed: int, share: float, kind: str) -> None:
    document = random_document(seed, share)
    classes, provenance = planes(document)
    assert document.prediction is not None
    predicted = document.prediction.class_map
    if kind == "fill":
        mask, new, source = classes == UNLABELLED, np.full_like(classes, 2), Provenance.PAINTED
    else:
        mask, new, source = provenance == 0, predicted, Provenance.ACCEPTED
        if kind == "unlabelled":
            mask &= classes == UNLABELLED
        else:
            mask |= provenance == 1
    expected = np.where(mask, new, classes), np.where(mask, np.uint8(source), provenance)
    differs = (expected[0] != classes) | (expected[1] != provenance)
    changed = document.fill_unlabelled(2) if kind == "fill" else document.accept_prediction(kind == "unlabelled")
    assert changed == differs.any()
    assert all(np.array_equal(a, b) for a, b in zip(planes(document), expected, strict=True))
    if not changed:
        return
    step = document.history.undo()
    assert step is not None
    assert step.num_changed == np.count_nonzero(differs)
    document.history.redo()
    document.undo()
    assert all(np.array_equal(a, b) for a, b in zip(planes(document), (classes, provenance), strict=True))
    document.redo()
    assert all(np.array_equal(a, b) for a, b in zip(planes(document), expected, strict=True))
    rebuilt = type(step).from_bytes(step.to_bytes())
    rebuilt.revert(document.class_plane, document.provenance_plane)
    assert all(np.array_equal(a, b) for a, b in zip(planes(document), (classes, provenance), strict=True))


def test_a_step_owns_its_pixels() -> None:
    document = random_document(3, 0.0)
    assert document.prediction is not None
    expected = document.prediction.class_map.copy()
    document.accept_prediction()
    document.undo()
    document.prediction.class_map[:] = 99
    document.redo()
    assert np.array_equal(document.class_plane.to_array(), expected)


@pytest.mark.parametrize("kind", ["accept", "accept again", "fill"])
def test_twelve_megapixels_take_less_than_the_hand_notices(kind: str) -> None:
    """50 ms on an idle machine; time of this thread alone, and the best of several, so that others do not count."""
    height, width = 3000, 4000
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 5, (60, 80)).astype(np.uint8)
    predicted = np.kron(coarse, np.ones((50, 50), np.uint8))
    image = np.zeros((height, width, 3), np.uint8)
    times = []
    for _ in range(4):
        document = Document("a", image, PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, 0))
        document.set_prediction(Prediction(predicted, predicted), 1)
        if kind == "accept again":
            document.accept_prediction()
            other = np.roll(predicted, 20, axis=1)
            document.set_prediction(Prediction(other, other), 2)
        begin_s = time.thread_time()
        assert document.fill_unlabelled(1) if kind == "fill" else document.accept_prediction()
        times.append(time.thread_time() - begin_s)
    assert min(times) < 0.06
