"""Sleep is held off while a fine-tune runs, by a program that ends with us."""

from __future__ import annotations

import sys

import pytest
from pytestqt.qtbot import QtBot

from pspnet_studio.model import inhibitor
from pspnet_studio.model.inhibitor import SleepInhibitor, inhibit_command


def test_each_system_has_its_way() -> None:
    assert inhibit_command("linux", 1)[0] == "systemd-inhibit"  # type: ignore[index]
    assert inhibit_command("darwin", 7)[-1] == "7"  # type: ignore[index]
    assert inhibit_command("freebsd", 1) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows needs no helper process")
def test_hold_and_release(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inhibitor, "inhibit_command", lambda *_: ["cat"])
    holder = SleepInhibitor()
    holder.hold()
    qtbot.waitUntil(lambda: holder.is_held)
    holder.hold()
    holder.release()
    assert not holder.is_held
    holder.release()


def test_where_there_is_no_such_program_nothing_happens(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inhibitor, "inhibit_command", lambda *_: ["no-such-program-here"])
    holder = SleepInhibitor()
    holder.hold()
    assert not holder.is_held
    holder.release()
