"""Rows of earlier images, kept in the project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pspnet_core.inference import live_rows
from pspnet_core.inference.kept_rows import KeptRows
from pspnet_core.inference.live_rows import read_rows, write_rows


def rows(class_id: int, count: int = 5, value: float = 1.0) -> KeptRows:
    statistics = np.full((1, 3), 10 * value, np.float32), np.full((1, 3), 1 + value, np.float32)
    image = np.zeros(count, np.uint16)
    return KeptRows(np.full((count, 3), value, np.float16), np.full(count, class_id, np.uint8), image, *statistics)


def test_rows_come_back_but_not_those_of_the_image_itself_or_of_unknown_classes(tmp_path: Path) -> None:
    folder = tmp_path / "live"
    write_rows(folder, "a.jpg", rows(1))
    write_rows(folder, "b.jpg", rows(2))
    found = read_rows(folder, "c.jpg", [1, 2])
    assert found is not None
    assert sorted(np.unique(found.class_ids).tolist()) == [1, 2]
    assert found.rows.shape == (10, 3)
    own = read_rows(folder, "a.jpg", [1, 2])
    assert own is not None
    assert set(own.class_ids.tolist()) == {2}
    assert read_rows(folder, "a.jpg", [1]) is None
    assert read_rows(tmp_path / "nothing", "a.jpg", [1]) is None


def test_an_image_without_marks_leaves_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, "a.jpg", rows(1))
    write_rows(tmp_path, "a.jpg", None)
    assert read_rows(tmp_path, "b.jpg", [1]) is None


def test_damaged_files_and_other_features_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path, "a.jpg", rows(1))
    (tmp_path / "broken.npz").write_bytes(b"PK not really")
    (tmp_path / "empty.npz").write_bytes(b"")
    found = read_rows(tmp_path, "b.jpg", [1])
    assert found is not None
    assert len(found.rows) == 5
    monkeypatch.setattr(live_rows, "FEATURE_SPEC", "another")
    assert read_rows(tmp_path, "b.jpg", [1]) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"deviation": np.zeros(3, np.float32)},
        {"mean": np.full(3, np.nan, np.float32)},
        {"mean": np.zeros(4, np.float32)},
        {"rows": np.zeros((5, 3), np.float32)},
        {"class_ids": np.zeros(4, np.uint8)},
    ],
)
def test_rows_that_cannot_be_what_was_written_are_passed_over(tmp_path: Path, damage: dict[str, Any]) -> None:
    write_rows(tmp_path, "a.jpg", rows(1))
    (path,) = tmp_path.glob("*.npz")
    with np.load(path) as file:
        values = dict(file)
    np.savez(path, **(values | damage))
    assert read_rows(tmp_path, "b.jpg", [1]) is None


def test_what_is_kept_and_what_is_used_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_rows, "MAX_IMAGES", 3)
    monkeypatch.setattr(live_rows, "ROWS_PER_CLASS", 4)
    monkeypatch.setattr(live_rows, "IMAGES_USED", 2)
    for number in range(5):
        write_rows(tmp_path, f"{number}.jpg", rows(1, value=number))
        for path in tmp_path.glob("*.npz"):  # seconds apart, also on file systems that know no less
            os.utime(path, ns=(path.stat().st_atime_ns - 10**9, path.stat().st_mtime_ns - 10**9))
    assert len(list(tmp_path.glob("*.npz"))) == 3
    found = read_rows(tmp_path, "x.jpg", [1])
    assert found is not None
    assert len(found.rows) <= 4
    assert set(found.rows[:, 0].tolist()) == {3.0, 4.0}
    np.testing.assert_array_equal(found.means[found.image], 10 * found.rows.astype(np.float32))
    np.testing.assert_array_equal(found.deviations[found.image], 1 + found.rows.astype(np.float32))
