"""Importing weights in the window: the new version, the classes, and what is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

torch = pytest.importorskip("torch")

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import CheckpointError, PspnetError, StorageError  # noqa: E402
from pspnet_core.models import PSPNetConfig, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from pspnet_core.project.project import Notice, Project  # noqa: E402
from pspnet_core.training.imported import Imported  # noqa: E402
from pspnet_core.training.start import Start  # noqa: E402
from pspnet_core.training.versions import Version, VersionStore  # noqa: E402
from pspnet_studio.bootstrap import Studio  # noqa: E402
from pspnet_studio.windows.import_flow import ImportFlow, words_of  # noqa: E402
from tests.helpers.folders import make_data_set, make_folder  # noqa: E402
from tests.helpers.studio import open_paths, running_studio  # noqa: E402

THEIRS = ClassSet().add("Thing", (9, 8, 7)).add("lamp")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("theirs") / "theirs.safetensors"
    save_checkpoint(Checkpoint(make_model(PSPNetConfig.studio_fast(2)).eval(), THEIRS), path)
    return path


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def flow(studio: Studio, told: list[Any]) -> ImportFlow:
    return ImportFlow(studio.session, studio.training, studio.window, told.append)


def project_of(studio: Studio) -> Project:
    assert studio.session.project is not None
    return studio.session.project


def test_an_imported_network_predicts_with_the_projects_classes(
    qtbot: QtBot, studio: Studio, flow: ImportFlow, told: list[Any], tmp_path: Path, file: Path
) -> None:
    open_paths(qtbot, studio, make_data_set(tmp_path / "meadow"))
    classes = project_of(studio).classes
    flow.start(project_of(studio), [file])
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    (notice,) = told
    assert isinstance(notice, Notice), notice
    assert notice.title == "theirs.safetensors is version 1 now, and in use."
    assert "It knows these classes: thing." in notice.detail
    assert "It has yet to learn: ground." in notice.detail
    assert "does not have them: lamp." in notice.detail
    assert project_of(studio).classes == classes
    assert studio.training.current_version == 1
    assert studio.training.start_choice == Start(version=1)
    assert studio.training.can_start()[0]
    assert load_checkpoint(studio.training.checkpoint_path(1)).classes == classes
    qtbot.waitUntil(lambda: studio.predictions.state == "ready", timeout=60_000)


def test_a_project_without_classes_takes_those_of_the_network(
    qtbot: QtBot, studio: Studio, flow: ImportFlow, told: list[Any], tmp_path: Path, file: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", with_classes=False))
    assert not len(project_of(studio).classes)
    flow.start(project_of(studio), [file])
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert [(c.name, c.color) for c in project_of(studio).classes] == [(c.name, c.color) for c in THEIRS]
    assert studio.tool_state.class_id in project_of(studio).classes
    assert "has those of the network now: Thing, lamp." in told[0].detail
    assert load_checkpoint(studio.training.checkpoint_path(1)).classes == project_of(studio).classes


def test_what_is_no_network_is_told_and_leaves_nothing(
    qtbot: QtBot, studio: Studio, flow: ImportFlow, told: list[Any], tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    (tmp_path / "page.pth").write_bytes(b"<!DOCTYPE html><html>")
    flow.start(project_of(studio), [tmp_path / "page.pth"])
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert isinstance(told[0], CheckpointError)
    assert studio.training.versions() == []
    assert studio.training.start_choice == Start()
    flow.start(project_of(studio), [tmp_path / name for name in ("a", "b", "c")])
    assert isinstance(told[1], PspnetError)
    assert "3 files" in told[1].title


def test_an_import_is_cancelled_with_its_project(
    qtbot: QtBot, studio: Studio, flow: ImportFlow, told: list[Any], tmp_path: Path, file: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    folder = project_of(studio).folder
    flow.start(project_of(studio), [file])
    studio.session.close_project()
    qtbot.waitUntil(lambda: not studio.runner.jobs, timeout=60_000)
    assert told == []
    assert not (folder / "versions").exists()


class Held:
    """Lets a test act when the version is written, and before anybody learns of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written, self.released = threading.Event(), threading.Event()
        original = VersionStore.add

        def add(store: VersionStore, checkpoint: Checkpoint, record: Any) -> Version:
            version = original(store, checkpoint, record)
            self.written.set()
            self.released.wait(60)
            return version

        monkeypatch.setattr(VersionStore, "add", add)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


def test_cancel_while_the_version_is_written_leaves_none(
    qtbot: QtBot,
    studio: Studio,
    flow: ImportFlow,
    told: list[Any],
    tmp_path: Path,
    file: Path,
    held: Held,
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", with_classes=False))
    project = project_of(studio)
    flow.start(project, [file])
    qtbot.waitUntil(held.written.is_set, timeout=60_000)
    assert flow._progress is not None
    flow._progress.canceled.emit()
    held.released.set()
    qtbot.waitUntil(lambda: not studio.runner.jobs, timeout=60_000)
    qtbot.waitUntil(lambda: not list((project.folder / "versions").glob("*")), timeout=10_000)
    assert told == []
    assert not len(project.classes)


def test_a_version_that_cannot_be_written_leaves_the_project_without_classes(
    qtbot: QtBot,
    studio: Studio,
    flow: ImportFlow,
    told: list[Any],
    tmp_path: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", with_classes=False))

    def full(*_: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(VersionStore, "add", full)
    flow.start(project_of(studio), [file])
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert isinstance(told[0], StorageError)
    assert not len(project_of(studio).classes)


def test_classes_that_a_person_adds_meanwhile_are_kept_and_the_network_fits_them(
    qtbot: QtBot,
    studio: Studio,
    flow: ImportFlow,
    told: list[Any],
    tmp_path: Path,
    file: Path,
    held: Held,
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow", with_classes=False))
    flow.start(project_of(studio), [file])
    qtbot.waitUntil(held.written.is_set, timeout=60_000)
    studio.session.add_class("lamp")
    held.released.set()
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert isinstance(told[0], Notice), told[0]
    assert project_of(studio).classes.names == ("lamp",)
    (version,) = studio.training.versions()
    assert load_checkpoint(version.path).classes == project_of(studio).classes


def words(**changes: Any) -> str:
    given = {"known": ("road",), "new": (), "dropped": (), "guesses": (), "publisher": "mmseg", "backbone": "resnet50"}
    imported = Imported(Version(3, Path("c"), {}), **(given | changes))
    return words_of(imported, "net.pth", took_classes=False).detail


def test_words() -> None:
    assert words() == "A network with ResNet-50, as mmseg publishes it.\nIt knows these classes: road."
    assert "none of the project's classes" in words(known=())
    assert "c7 and 2 more" in words(new=tuple(f"c{n}" for n in range(10)))
    assert "\nGuessed: align_corners is {unknown}.\n" in words(guesses=("align_corners is {unknown}.",))
    assert "made by this program" in words(publisher="studio")
    assert "no score of it counts as evidence" in words(is_comparable=False)


def test_a_guess_can_be_corrected_on_the_command_line() -> None:
    detail = words(guesses=("align_corners=False was guessed.",))
    assert "pspnet-studio import-weights net.pth --out" in detail
    assert "--align-corners" in detail
    assert "--align-corners" not in words()
