"""Versions on disk."""

import json

import pytest

from pspnet_core.errors import CheckpointError, StorageError
from pspnet_core.training.versions import VersionStore

torch = pytest.importorskip("torch")

from pspnet_core.models import PSPNet, PSPNetConfig  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from tests.helpers.tiny import CLASSES  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(PSPNet(PSPNetConfig.studio_fast(3)).eval(), CLASSES)


def test_empty_store_writes_nothing(tmp_path):
    store = VersionStore(tmp_path / "versions")
    assert store.list() == []
    assert store.current is None
    assert list(tmp_path.iterdir()) == []


def test_versions_are_numbered_kept_and_chosen(checkpoint, tmp_path):
    store = VersionStore(tmp_path / "versions")
    first, second = (store.add(checkpoint, {"mean_iou": score}) for score in (0.5, None))
    assert (first.number, second.number) == (1, 2)
    assert store.current is None
    store.set_current(2)
    other = VersionStore(tmp_path / "versions")
    assert other.current == 2
    assert [(v.number, v.record["mean_iou"]) for v in other.list()] == [(1, 0.5), (2, None)]
    assert other.load(1).id == checkpoint.id
    other.set_current(None)
    assert store.current is None
    assert {p.name for p in first.path.parent.iterdir()} == {"checkpoint.safetensors", "version.json"}


def test_numbers_are_not_reused_by_half_written_versions(checkpoint, tmp_path):
    store = VersionStore(tmp_path)
    (tmp_path / "3").mkdir()
    assert store.list() == []
    assert store.add(checkpoint, {}).number == 4


def test_two_that_add_at_once_get_two_numbers(checkpoint, tmp_path, monkeypatch):
    store = VersionStore(tmp_path)
    store.add(checkpoint, {"who": "first"})
    monkeypatch.setattr(store, "_numbers", lambda: ())  # looked before the other one wrote
    assert store.add(checkpoint, {"who": "second"}).number == 2
    assert [version.record["who"] for version in VersionStore(tmp_path).list()] == ["first", "second"]


def test_a_place_that_cannot_be_written_is_told(checkpoint, tmp_path):
    (tmp_path / "versions").write_text("a file")
    with pytest.raises(StorageError):
        VersionStore(tmp_path / "versions").add(checkpoint, {})


def test_unknown_versions_are_refused(checkpoint, tmp_path):
    store = VersionStore(tmp_path)
    for call in (store.load, store.set_current):
        with pytest.raises(CheckpointError, match="no version 7"):
            call(7)


def test_damaged_records_do_not_hide_versions(checkpoint, tmp_path):
    store = VersionStore(tmp_path)
    for _ in range(2):
        store.add(checkpoint, {"mean_iou": 0.1})
    store.set_current(1)
    (tmp_path / "1" / "version.json").write_text("{")
    assert [(v.number, dict(v.record).get("mean_iou")) for v in store.list()] == [(1, None), (2, 0.1)]
    (tmp_path / "current.json").write_text("[]")
    assert store.current is None


def test_current_version_whose_file_is_gone(checkpoint, tmp_path):
    store = VersionStore(tmp_path)
    version = store.add(checkpoint, {})
    store.set_current(1)
    assert json.loads((tmp_path / "current.json").read_text()) == {"current": 1}
    version.path.unlink()
    assert store.current is None


def test_deleted_versions_are_gone_and_their_numbers_are_not_used_again(checkpoint, tmp_path):
    store = VersionStore(tmp_path)
    for _ in range(3):
        store.add(checkpoint, {})
    store.set_current(2)
    with pytest.raises(CheckpointError, match="in use"):
        store.delete(2)
    store.delete(1)
    store.delete(3)
    for gone in (1, 3, 9):
        with pytest.raises(CheckpointError, match=f"no version {gone}"):
            store.delete(gone)
    assert [v.number for v in store.list()] == [2]
    assert not (tmp_path / "1").exists()
    assert store.add(checkpoint, {}).number == 4


def test_exported_versions_stand_alone(checkpoint, tmp_path):
    store = VersionStore(tmp_path / "versions")
    version = store.add(checkpoint, {})
    target = tmp_path / "mine.safetensors"
    store.export(1, target)
    assert load_checkpoint(target).id == checkpoint.id
    with pytest.raises(StorageError, match="overwritten"):
        store.export(1, version.path)
    with pytest.raises(CheckpointError, match="no version 7"):
        store.export(7, target)
    assert store.load(1).id == checkpoint.id
