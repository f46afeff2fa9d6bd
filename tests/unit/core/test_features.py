"""Features of an image for the live head."""

from __future__ import annotations

import numpy as np
import pytest

from pspnet_core.imaging.source import ArraySource
from pspnet_core.inference import features as module
from pspnet_core.inference.features import FeatureExtractor, working_image
from tests.helpers.live import two_halves


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor()


@pytest.mark.parametrize(("height", "width"), [(60, 80), (37, 91), (5, 3)])
def test_blocks_cover_the_image_at_their_strides(extractor: FeatureExtractor, height: int, width: int) -> None:
    found = extractor.features(two_halves(height, width))
    assert found.grid == (height, width)
    for block in found.blocks:
        assert block.values.shape[1:] == (-(-height // block.stride), -(-width // block.stride))
        assert block.values.dtype == np.float16
        assert np.isfinite(block.values).all()
    rows = found.rows(np.array([0, height * width - 1]))
    assert rows.shape == (2, found.num_features)


def test_features_are_taken_where_they_belong(extractor: FeatureExtractor) -> None:
    image = two_halves(64, 96)
    found = extractor.features(image)
    fine = found.blocks[0].values[0].astype(np.float32)
    assert fine[:, :44].max() < fine[:, 52:].min()
    cells = np.array([20 * 96 + 10, 20 * 96 + 85])
    rows = found.rows(cells)
    assert rows[0, 0] == fine[20, 10]
    begin = len(found.blocks[0].values)
    assert rows[0, begin] < 0 < rows[1, begin]


def test_a_large_image_is_reduced_and_a_source_gives_the_same(
    extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKING_PIXELS", 10_000)
    image = two_halves(240, 320)
    reduced = working_image(image)
    assert reduced.shape[0] * reduced.shape[1] <= 10_100
    from_source = working_image(ArraySource(image))
    assert from_source.shape == reduced.shape
    assert np.abs(from_source.astype(int) - reduced).mean() < 3
    found = extractor.features(ArraySource(image))
    assert (found.height, found.width) == (240, 320)
    assert found.grid == reduced.shape[:2]


def test_cells_are_two_by_two_pixels_above_a_size(extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FINE_PIXELS", 1000)
    found = extractor.features(two_halves(61, 83))
    assert found.grid == (31, 42)
    assert found.num_bytes < 1_000_000


def test_a_picture_of_another_shape_is_refused(extractor: FeatureExtractor) -> None:
    with pytest.raises(ValueError, match="found"):
        extractor.features(np.zeros((4, 4), np.uint8))
