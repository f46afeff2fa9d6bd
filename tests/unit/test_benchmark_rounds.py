"""What the benchmarks of fine-tuning make of their runs."""

from pathlib import Path

import numpy as np
import pytest

from pspnet_core.classes import ClassSet
from pspnet_core.project.dataset import Dataset, open_dataset
from pspnet_core.project.project import Status
from pspnet_core.project.records import Split
from pspnet_core.training.versions import VersionStore
from tests.benchmarks import adoption, finetune, rounds
from tests.benchmarks.correction import class_iou, correct, make_project, mean_iou
from tests.helpers.tiny import write_data_set


def row(version, compared_with, adopted, level, rare=500):
    """A candidate that finds this many of 1,000 pixels of class 0, and ``rare`` of class 1, in each of six images."""
    counts = {f"{i}": [[level + i, rare], [1000, 1000], [1000, 1000]] for i in range(6)}
    return {
        "version": version,
        "compared_with": compared_with,
        "adopted": adopted,
        "test_miou": mean_iou({key: np.array(value) for key, value in counts.items()}),
        "counts": counts,
        "load1": 0.0,
    }


@pytest.fixture
def dataset():
    return Dataset(Path(), ClassSet().add("a", index=0).add("b", index=1), {}, lambda item: None)


def test_rounds_tell_falls_wrong_and_missed_candidates(dataset):
    rows = [row(1, None, True, 500), row(2, 1, False, 600), row(3, 1, True, 450), row(4, 3, False, 400)]
    rows.append(row(5, 3, True, 700, rare=50))
    found = rounds.summary(dataset, rows)
    assert found["adopted"] == 3
    assert [number for number, _ in found["missed"]] == [1]
    assert [number for number, _ in found["wrong"]] == [2, 4]
    assert found["falls"] == [2, 4]
    assert (found["num_worse"], found["num_better"]) == (3, 1)
    assert found["line"] == [rows[i]["test_miou"] for i in (0, 0, 2, 2, 4)]
    assert found["unlearned"] == ["b"]


def test_a_round_that_was_broken_off_before_its_line_is_made_again(tmp_path):
    data = open_dataset(write_data_set(tmp_path / "d", train=1, val=0, test=0))
    project = make_project(data, tmp_path / "p", data.items[Split.TRAIN], with_val=False)
    versions = project.folder / "versions"
    store = VersionStore(versions)
    for number in (1, 2, 3):
        (versions / str(number)).mkdir(parents=True)
        for name in ("checkpoint.safetensors", "version.json"):
            (versions / str(number) / name).write_text("{}")
    store.set_current(3)
    rows = [row(1, None, True, 500), row(2, 1, False, 400)]
    rounds.forget_unlogged(project, rows)
    assert [version.number for version in store.list()] == [1, 2]
    assert store.current == 1
    rounds.forget_unlogged(project, [])
    assert store.list() == []
    assert store.current is None


def test_scores_count_classes_that_are_only_predicted():
    iou = class_iou({"a": np.array([[5, 0, 0], [10, 0, 0], [5, 5, 0]])})
    assert list(iou[:2]) == [0.5, 0]
    assert np.isnan(iou[2])


def test_a_corrected_image_is_whole_and_done(tmp_path):
    data = open_dataset(write_data_set(tmp_path / "d", train=3, val=1, test=1))
    project = make_project(data, tmp_path / "p", data.items[Split.TRAIN][:2])
    assert [(i.split, i.found_mask is not None) for i in project.items] == [
        (Split.TEST, False),
        (Split.TRAIN, False),
        (Split.TRAIN, False),
        (Split.VAL, True),
    ]
    item = data.items[Split.TRAIN][0]
    correct(project, data, item)
    state = project.state(item.key)
    assert (state.status, state.painted_px, state.prediction_shown) == (Status.DONE, state.total_px, False)
    assert make_project(data, tmp_path / "p", ()).state(item.key) == state


def test_a_higher_threshold_adopts_less_of_what_is_worse():
    rng = np.random.default_rng(0)
    levels = np.clip(rng.normal(500, 60, (6, 1, 1)) + rng.normal(0, 60, (6, 12, 2)), 0, 1000).round()
    full = np.full_like(levels, 1000)
    log = np.stack([levels, full, full], axis=2).astype(np.int64)
    rows = adoption.table(5, list(adoption.outcomes(log, 5)))
    worse = [row["adopted"]["-0.03 to -0.01"] for row in rows[:-1]]
    better = [row["adopted"]["+0.03 to +1.00"] for row in rows[:-1]]
    assert worse == sorted(worse, reverse=True)
    assert better[0] > worse[0]
    assert rows[-1]["coverage"] > 0.85


def test_strict_thresholds_fall_less_and_adopt_less():
    rows = adoption.sequence(5, 0.03, 0.02)
    assert rows[0]["adopted"] > rows[-1]["adopted"]
    assert rows[0]["fall"] > rows[-1]["fall"]
    sure = adoption.sequence(5, 1e-9, 0.02)
    assert {row["fall"] for row in sure} == {0}
    assert {row["final"] for row in sure} == {1}


def test_finetune_tells_means_over_seeds():
    ours = {"arm": "ours", "click_s": 50.0, "miou_before": 0.1, "adopted": True, "num_steps": 9}
    rows = [ours | {"miou_after": 0.4}, ours | {"miou_after": 0.5}, {"arm": "gui", "gui_p99_ms": 7.0}]
    found = finetune.summary([*rows, {"arm": "forest", "miou_forest": 0.3}])
    assert (found["seconds"], found["miou_after"], found["miou_after_seeds"]) == (50.0, 0.45, [0.4, 0.5])
    assert (found["miou_forest"], found["adopted"], found["gui_p99_ms"]) == (0.3, 2, 7.0)
    assert "miou_plain" not in found
