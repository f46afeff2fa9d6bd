"""Runs that did not come to their end."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from pspnet_core.errors import CheckpointError, TrainingError  # noqa: E402
from pspnet_core.project.project import Project  # noqa: E402
from pspnet_core.training import finetune as finetune_module  # noqa: E402
from pspnet_core.training.config import Recipe  # noqa: E402
from pspnet_core.training.deletion import delete_version  # noqa: E402
from pspnet_core.training.events import Adjusted, Resumed, Step  # noqa: E402
from pspnet_core.training.finetune import discard, finetune, interrupted  # noqa: E402
from pspnet_core.training.interrupted import InterruptedRun, note_run, state_file  # noqa: E402
from pspnet_core.training.start import SETTING, Start  # noqa: E402
from pspnet_core.training.versions import VersionStore  # noqa: E402
from tests.helpers.tiny import write_data_set  # noqa: E402

RECIPE = Recipe(batch_size=1, crop_px=32, warmup_steps=1)


@pytest.fixture
def project(tmp_path):
    return Project.open(write_data_set(tmp_path / "d", train=2, val=1, test=0))


@pytest.fixture
def configs(monkeypatch):
    """What training was told, by run."""
    seen = []
    original = finetune_module.train

    def train(config):
        seen.append(config)
        return original(config)

    monkeypatch.setattr(finetune_module, "train", train)
    return seen


def broken_off(project, **settings):
    """A run that was closed after its first step, as if it had kept some state."""
    events = finetune(project, device="cpu", recipe=RECIPE, **settings)
    next(event for event in events if isinstance(event, Step))
    events.close()
    state_file(project).write_bytes(b"state")


def test_a_run_that_was_closed_is_told_and_goes_on_as_it_began(project, configs):
    list(finetune(project, steps=1, device="cpu", recipe=RECIPE))
    assert interrupted(project) is None
    broken_off(project, steps=3, seed=5)
    run = interrupted(project)
    assert (run.mode, run.seconds, run.steps, run.seed, run.parent) == ("quick", None, 3, 5, 1)
    *_, decided = finetune(project, device="cpu", recipe=RECIPE, resume=True)
    before, after = configs[-2:]
    assert (after.steps, after.seed, after.mode, after.state_file) == (3, 5, "quick", before.state_file)
    assert after.init.id == before.init.id
    assert decided.version.record["parent"] == 1
    assert interrupted(project) is None


def test_a_new_run_forgets_the_interrupted_one(project, configs):
    broken_off(project, steps=3, seed=5, mode="full")
    events = finetune(project, steps=1, device="cpu", recipe=RECIPE)
    next(events)
    assert not state_file(project).exists()
    events.close()
    broken_off(project, steps=3)
    discard(project)
    assert interrupted(project) is None
    assert not state_file(project).exists()


def test_resuming_where_nothing_was_interrupted_begins_anew(project):
    *_, decided = finetune(project, steps=1, seed=8, device="cpu", recipe=RECIPE, resume=True)
    assert decided.version.record["seed"] == 8


def test_a_run_that_broke_down_is_not_resumed(project, monkeypatch):
    def broken(config):
        state_file(project).write_bytes(b"state")
        raise TrainingError("Broken.", "", "")
        yield

    monkeypatch.setattr(finetune_module, "train", broken)
    with pytest.raises(TrainingError):
        list(finetune(project, steps=1, device="cpu", recipe=RECIPE))
    assert interrupted(project) is None


def test_one_that_runs_is_not_interrupted_and_no_second_one_begins(project):
    broken_off(project, steps=3, seed=5)
    events = finetune(project, device="cpu", recipe=RECIPE, resume=True)
    next(events)
    other = Project.open(project.root)
    assert interrupted(other) is None
    for resume in (False, True):
        with pytest.raises(TrainingError, match="runs in another window"):
            next(finetune(other, steps=1, device="cpu", recipe=RECIPE, resume=resume))
    assert state_file(project).exists()
    events.close()
    assert interrupted(other).seed == 5


def test_a_lock_that_a_crash_has_left_behind_is_none(project):
    broken_off(project, steps=3)
    (project.folder / "training" / "run.lock").touch()
    assert interrupted(project) is not None
    list(finetune(project, steps=1, device="cpu", recipe=RECIPE))


def test_a_run_whose_parent_is_gone_begins_anew(project, configs):
    list(finetune(project, steps=1, device="cpu", recipe=RECIPE))
    broken_off(project, steps=2, seed=5)
    note_run(project, replace(interrupted(project), parent=4))
    events = list(finetune(project, device="cpu", recipe=RECIPE, resume=True))
    told = [event for event in events if isinstance(event, Adjusted)]
    assert [event.what for event in told] == ["state"]
    assert "no version 4" in told[0].detail
    assert not any(isinstance(event, Resumed) for event in events)
    record = events[-1].version.record
    assert (record["parent"], record["seed"], record["steps"]) == (1, 5, 2)
    assert interrupted(project) is None


def test_a_run_whose_imported_start_is_gone_is_not_offered_again(project):
    note_run(project, InterruptedRun("full", None, 2, 0, Start(version=4), 4, "x"))
    state_file(project).write_bytes(b"state")
    with pytest.raises(CheckpointError, match="no version 4"):
        list(finetune(project, device="cpu", recipe=RECIPE, resume=True))
    assert interrupted(project) is None


def test_versions_that_are_needed_are_not_deleted(project):
    for number in (1, 2, 3, 4, 5):
        folder = project.folder / "versions" / str(number)
        folder.mkdir(parents=True)
        for name in ("checkpoint.safetensors", "version.json"):
            (folder / name).write_text("{}")
    store = VersionStore(project.folder / "versions")
    store.set_current(1)
    note_run(project, InterruptedRun("quick", None, 2, 0, Start(version=3), 2, "x"))
    state_file(project).write_bytes(b"state")
    project.settings[SETTING] = Start(version=4).to_json()
    for number, why in ((1, "in use"), (2, "did not come to its end"), (3, "did not"), (4, "of this project start")):
        with pytest.raises(CheckpointError) as caught:
            delete_version(project, number)
        assert why in f"{caught.value.title} {caught.value.detail}"
    delete_version(project, 5)
    discard(project)
    delete_version(project, 2)
    assert [version.number for version in store.list()] == [1, 3, 4]


def test_a_damaged_note_is_no_run(project):
    broken_off(project, steps=3)
    note = project.folder / "training" / "run.json"
    whole = json.loads(note.read_text())
    for damaged in ("{", "[]", json.dumps(whole | {"mode": "slow"}), json.dumps(whole | {"seed": "x"})):
        note.write_text(damaged)
        assert interrupted(project) is None
    note.write_text(json.dumps(whole))
    assert interrupted(project) is not None


def test_seconds_and_steps_are_not_both_given(project):
    with pytest.raises(ValueError, match="either"):
        list(finetune(project, 5, steps=5))
