"""The networks that are offered, and the dialog that offers them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from pspnet_core import pretrained
from pspnet_core.training import start as start_module
from pspnet_core.training.start import Start
from pspnet_core.training.versions import Version
from pspnet_studio.dialogs.network import NetworkDialog
from pspnet_studio.model import networks
from pspnet_studio.model.networks import choice_of, name_of, network_choices


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer with Lite0 only."""
    here = {"efficientnet_lite0": tmp_path / "lite0.pth"}
    (tmp_path / "lite0.pth").write_bytes(b"")
    for module in (networks, start_module):
        monkeypatch.setattr(module, "find_weights", lambda name: here.get(name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def imported(number: int, path: Path, **record: object) -> Version:
    return Version(number, path, {"imported": {"publisher": "mmseg"}, "backbone": "resnet50", **record})


def test_what_is_here_or_can_be_fetched_is_offered() -> None:
    rows = {row.start.backbone: row for row in network_choices(Start(), [])}
    assert list(rows) == [
        "efficientnet_lite0",
        "mobilenet_v2",
        "mobilenet_v3_large",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
    ]
    assert len({row.hint for row in rows.values()}) == len(rows)
    assert rows["efficientnet_lite0"].title == "Fast (EfficientNet-Lite0)"
    assert rows["efficientnet_lite0"].size_text == "included"
    assert not rows["resnet18"].is_here
    assert rows["resnet18"].size_text == "46.8 MB"
    assert rows["resnet101"].size_text == "about 178.8 MB"


def test_what_is_chosen_is_offered_even_if_it_is_gone(home: Path) -> None:
    gone = home / "gone.pth"
    for start in (Start("resnet152"), Start("efficientnet_lite2"), Start("resnet18", gone), Start(version=4)):
        rows = network_choices(start, [])
        assert [row.start for row in rows].count(start) == 1
        assert not next(row for row in rows if row.start == start).is_here


def test_imported_versions_are_offered(home: Path) -> None:
    (home / "c.safetensors").write_bytes(b"")
    versions = [Version(1, home / "c", {}), imported(2, home / "c.safetensors", known_classes=["road", "car"])]
    row = network_choices(Start(), versions)[-1]
    assert (row.start, row.is_here) == (Start(version=2), True)
    assert row.title == "Version 2 (imported)"
    assert row.hint == "ResNet-50; knows 2 of the classes"
    assert name_of(row.start) == "version 2"
    assert name_of(Start("resnet18")) == "ResNet-18"


def test_a_download_shows_address_size_and_folder_before_it_is_wanted(qtbot: QtBot, home: Path) -> None:
    dialog = NetworkDialog(network_choices(Start(), []), Start())
    qtbot.addWidget(dialog)
    assert dialog.choice.start == Start()
    assert dialog.use_button.text() == "&Use"
    assert str(home / "lite0.pth") in dialog.details
    dialog.choose(Start("resnet18"))
    remote = pretrained.remote_weights("resnet18")
    assert remote is not None
    for part in (remote.url, "46.8 MB", str(home / "cache")):
        assert part in dialog.details
    assert dialog.use_button.text() == "&Download and use"
    assert dialog.use_button.isEnabled()


def test_a_file_of_ones_own(qtbot: QtBot, home: Path) -> None:
    dialog = NetworkDialog(network_choices(Start(), []), Start())
    qtbot.addWidget(dialog)
    dialog.choose(Start("resnet50"))
    file = home / "mine.pth"
    file.write_bytes(b"")
    dialog.set_file(file)
    assert dialog.choice.start == Start("resnet50", file)
    assert dialog.use_button.text() == "&Use"
    assert str(file) in dialog.details
    assert choice_of(Start("resnet50", file)).hint == "from mine.pth"


def test_what_cannot_be_had_cannot_be_used(qtbot: QtBot, home: Path) -> None:
    for start in (Start("efficientnet_lite1"), Start("resnet18", home / "gone.pth"), Start(version=7)):
        dialog = NetworkDialog(network_choices(start, []), start)
        qtbot.addWidget(dialog)
        assert dialog.choice.start == start
        can_fetch = start.backbone == "resnet18" and start.version is None
        assert dialog.file_button.isEnabled() == (start.version is None)
        assert dialog.use_button.isEnabled() == can_fetch
