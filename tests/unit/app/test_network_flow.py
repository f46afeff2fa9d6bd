"""Choosing a network in the window: the download, what it leaves behind, and what the project remembers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QProgressDialog
from pytestqt.qtbot import QtBot

from pspnet_core import pretrained
from pspnet_core.errors import DownloadError
from pspnet_core.pretrained import cached_weights
from pspnet_core.project.project import Project
from pspnet_core.remote import RemoteFile
from pspnet_core.training.start import Start
from pspnet_studio.bootstrap import Studio
from pspnet_studio.model.networks import choice_of
from pspnet_studio.windows.network_flow import NetworkFlow
from tests.helpers.file_server import FileServer, serving
from tests.helpers.folders import make_data_set
from tests.helpers.studio import open_paths, running_studio

DATA = random.Random(0).randbytes(3_000_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Has the weights of ResNet-18."""
    digest = hashlib.sha256(DATA).hexdigest()
    with serving(FileServer(DATA)) as running:
        entry = replace(pretrained.PRETRAINED["resnet18"], remote=RemoteFile(running.url, len(DATA), digest))
        monkeypatch.setattr(pretrained, "PRETRAINED", {**pretrained.PRETRAINED, "resnet18": entry})
        yield running


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        open_paths(qtbot, studio, make_data_set(tmp_path / "meadow"))
        yield studio


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def flow(studio: Studio, told: list[Any]) -> NetworkFlow:
    return NetworkFlow(studio.session, studio.training, studio.window, told.append)


def project_of(studio: Studio) -> Project:
    assert studio.session.project is not None
    return studio.session.project


def settings_on_disk(studio: Studio) -> dict[str, Any]:
    return json.loads((project_of(studio).folder / "project.json").read_bytes())["settings"]


def dialogs(studio: Studio) -> list[QProgressDialog]:
    return studio.window.findChildren(QProgressDialog)


def test_a_network_is_fetched_and_remembered(
    qtbot: QtBot, studio: Studio, flow: NetworkFlow, told: list[Any], server: FileServer
) -> None:
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert told == ["The next fine-tune starts with ResNet-18."]
    assert cached_weights("resnet18").read_bytes() == DATA
    assert studio.training.start_choice == Start("resnet18")
    assert studio.training.can_start()[0]
    studio.session.save_now()
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved")
    assert Start.of(settings_on_disk(studio)) == Start("resnet18")
    qtbot.waitUntil(lambda: dialogs(studio) == [])
    assert choice_of(Start("resnet18")).is_here


def test_cancel_keeps_what_has_come_and_changes_nothing(
    qtbot: QtBot, studio: Studio, flow: NetworkFlow, told: list[Any], server: FileServer
) -> None:
    server.chunk_pause_s = 0.05
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    part = cached_weights("resnet18").with_name(cached_weights("resnet18").name + ".part")
    qtbot.waitUntil(lambda: part.exists() and part.stat().st_size > 200_000, timeout=10_000)
    dialogs(studio)[0].canceled.emit()
    qtbot.waitUntil(lambda: not studio.runner.jobs, timeout=10_000)
    assert told == []
    assert studio.training.start_choice == Start()
    assert 200_000 < part.stat().st_size < len(DATA)
    server.chunk_pause_s = 0
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert cached_weights("resnet18").read_bytes() == DATA
    assert server.requests[-1] is not None  # it went on where it had stopped


def test_a_failed_download_is_told(
    qtbot: QtBot, studio: Studio, flow: NetworkFlow, told: list[Any], server: FileServer
) -> None:
    server.status = [404]
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert isinstance(told[0], DownloadError)
    assert studio.training.start_choice == Start()
    qtbot.waitUntil(lambda: dialogs(studio) == [])


def test_work_on_files_goes_on_while_a_server_is_silent(
    qtbot: QtBot, studio: Studio, flow: NetworkFlow, server: FileServer
) -> None:
    server.silent_after = 100_000
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    qtbot.waitUntil(lambda: bool(server.requests), timeout=10_000)
    studio.session.step(1)
    qtbot.waitUntil(lambda: not studio.session.is_loading, timeout=3_000)
    flow._on_cancelled()
    qtbot.waitUntil(lambda: not studio.runner.jobs, timeout=10_000)


def test_closing_the_project_ends_its_download(
    qtbot: QtBot, studio: Studio, flow: NetworkFlow, told: list[Any], server: FileServer
) -> None:
    server.chunk_pause_s = 0.05
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    qtbot.waitUntil(lambda: bool(server.requests), timeout=10_000)
    studio.session.close_project()
    qtbot.waitUntil(lambda: not studio.runner.jobs, timeout=10_000)
    assert told == []


def test_a_fine_tune_waits_until_its_network_is_here(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    file.write_bytes(b"")
    studio.training.set_start(Start("resnet50", file))
    assert studio.training.can_start() == (True, "")
    file.unlink()
    can_start, reason = studio.training.can_start()
    assert not can_start
    assert "ResNet-50" in reason
    studio.training.set_start(Start(version=3))
    assert "version 3" in studio.training.can_start()[1]
    assert not studio.window.training_panel.start_button.isEnabled()
    studio.training.set_start(Start())
    assert studio.window.training_panel.start_button.isEnabled()


def test_a_chosen_network_whose_weights_went_away_is_fetched_again(
    qtbot: QtBot, studio: Studio, flow: NetworkFlow, told: list[Any], server: FileServer
) -> None:
    """The project was opened on another computer: nothing changes but that a fine-tune can start."""
    studio.training.set_start(Start("resnet18"))
    assert not studio.window.training_panel.start_button.isEnabled()
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert told == ["The next fine-tune starts with ResNet-18."]
    assert studio.window.training_panel.start_button.isEnabled()
    flow.use(project_of(studio), choice_of(Start("resnet18")))
    assert len(told) == 1  # it is here, and is chosen


def test_the_commands_want_a_project(qtbot: QtBot, studio: Studio) -> None:
    actions = [studio.window.actions_by_id[name] for name in ("network", "import_weights")]
    assert all(action.isEnabled() for action in actions)
    studio.session.close_project()
    assert not any(action.isEnabled() for action in actions)
