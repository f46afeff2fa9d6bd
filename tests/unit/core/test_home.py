"""A project folder goes away and comes back, or another takes its place: nothing is lost, nothing misplaced."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pspnet_core.atomic import write_bytes
from pspnet_core.errors import StorageError
from pspnet_core.project import home as home_module
from pspnet_core.project.home import Home, HomeAwayError
from pspnet_core.project.journal_file import JournalFile
from pspnet_core.project.project import Project
from tests.helpers.journals import KEY, Hand, journal_files, make_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_project(tmp_path / "p")
    return tmp_path / "p"


def painted(root: Path, num: int = 3) -> Hand:
    hand = Hand(root)
    for number in range(num):
        hand.stroke(3 * number, 2 * number, 8, number % 3)
        hand.write()
    return hand


@pytest.mark.parametrize("is_left", [False, True])
def test_strokes_wait_while_the_folder_is_away(root: Path, is_left: bool) -> None:
    hand = painted(root)
    away = root.rename(root.with_name("away"))
    if is_left:
        hand.journal.release()
    hand.stroke(20, 20, 5, 1)
    for _ in range(2):
        with pytest.raises(HomeAwayError, match="not there any more"):
            hand.write()
    assert hand.journal.is_behind
    assert not root.exists()
    away.rename(root)
    hand.stroke(30, 20, 5, 2)
    hand.write()
    hand.end()
    after = Hand(root)
    assert (after.state, after.can_undo) == (hand.state, 5)
    assert len(journal_files(root)) == 1


def test_planes_and_the_project_file_wait_while_the_folder_is_away(root: Path) -> None:
    hand = painted(root)
    hand.save()
    away = root.rename(root.with_name("away"))
    hand.stroke(20, 20, 5, 1)
    with pytest.raises(HomeAwayError):
        hand.save()
    with pytest.raises(HomeAwayError):
        hand.project.save()
    assert not root.exists()
    away.rename(root)
    hand.save()
    hand.project.save()
    hand.end()
    after = Hand(root)
    assert (after.state, after.notices) == (hand.state, ())


@pytest.mark.parametrize("kind", ["empty", "images", "copy", "other"])
def test_nothing_is_written_to_a_folder_that_took_its_place(root: Path, kind: str, tmp_path: Path) -> None:
    hand = painted(root)
    hand.stroke(20, 20, 5, 1)
    real = root.rename(tmp_path / "real")
    if kind == "empty":  # a mount point
        root.mkdir()
    elif kind == "images":
        root.mkdir()
        shutil.copy(real / KEY, root)
    elif kind == "copy":
        shutil.copytree(real, root)
    else:
        make_project(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for write in (hand.write, hand.save, hand.project.save):
        with pytest.raises(HomeAwayError):
            write()
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    shutil.rmtree(root)
    real.rename(root)
    hand.write()
    hand.end()
    after = Hand(root)
    assert (after.state, after.can_undo) == (hand.state, 4)


def test_a_lock_is_not_lost_while_the_folder_is_away(root: Path) -> None:
    project = Project.open(root)
    assert project.locks.acquire(KEY) is None
    away = root.rename(root.with_name("away"))
    assert project.locks.beat() == []
    for use in (project.locks.acquire, project.locks.holder):
        with pytest.raises(HomeAwayError):
            use(KEY)
    assert not root.exists()
    away.rename(root)
    assert project.locks.beat() == []
    assert project.locks.acquire(KEY) is None
    with project.locks.writing(KEY):
        pass


def test_a_mask_does_not_count_as_changed_while_the_folder_is_away(root: Path) -> None:
    hand = painted(root)
    hand.save()
    hand.project.masks.note(KEY)
    away = root.rename(root.with_name("away"))
    assert not hand.project.masks.has_changed(KEY)
    away.rename(root)
    assert not hand.project.masks.has_changed(KEY)


def test_a_first_save_makes_the_own_folder_but_never_the_one_of_the_images(tmp_path: Path) -> None:
    make_project(tmp_path / "p")
    shutil.rmtree(tmp_path / "p" / ".pspnet-studio")
    project = Project.open(tmp_path / "p")
    away = project.root.rename(tmp_path / "away")
    with pytest.raises(HomeAwayError):
        project.save()
    project.root.mkdir()
    with pytest.raises(HomeAwayError, match="taken the place"):
        project.save()
    project.root.rmdir()
    away.rename(project.root)
    project.save()
    assert (project.folder / "project.json").exists()
    assert Project.open(project.root).uuid == project.uuid


def test_a_write_into_an_own_folder_makes_no_root(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        write_bytes(tmp_path / "gone" / ".pspnet-studio" / "masks" / "a.png", b"x")
    assert not (tmp_path / "gone").exists()
    write_bytes(tmp_path / ".pspnet-studio" / "masks" / "a.png", b"x")


def test_a_read_only_folder_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = painted(root)
    hand.journal.release()
    (path,) = journal_files(root)
    before, real = path.read_bytes(), builtins.open

    def refuse(name: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wxa+"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(name, mode, *args, **kwargs)

    hand.stroke(20, 20, 5, 1)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)
        for write in (hand.write, hand.save, hand.project.save):
            with pytest.raises(StorageError, match="may not be written"):
                write()
    assert path.read_bytes() == before
    hand.write()
    hand.end()
    assert journal_files(root) == [path]
    after = Hand(root)
    assert (after.state, after.can_undo) == (hand.state, 4)


def test_a_drive_that_comes_back_under_another_number_is_known(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = painted(root)
    real = home_module._identity

    def identity(path: Path) -> Any:
        found = real(path)
        return None if found is None else found._replace(device=found.device + 1)

    monkeypatch.setattr(home_module, "_identity", identity)
    hand.stroke(20, 20, 5, 1)
    hand.write()
    stranger = Home(root / ".pspnet-studio", "another")
    monkeypatch.setattr(home_module, "_identity", real)
    assert not hand.project.home.is_away
    assert stranger.is_away


@pytest.mark.parametrize("kind", ["shorter", "other", "open and shorter"])
def test_a_journal_file_never_appends_to_another_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.journal"
    file = JournalFile(path)
    file.create(b"x" * 100)
    file.append(b"y" * 100)
    if kind == "open and shorter":
        os.truncate(path, 150)
    else:
        file.close()
    if kind == "shorter":
        os.truncate(path, 150)
    elif kind == "other":
        path.rename(tmp_path / "kept")
        path.write_bytes(b"z" * 300)
    before = path.read_bytes()
    assert not file.open()
    file.create(b"n" * 10)
    file.append(b"m")
    assert path.read_bytes() == before
    assert file.path.read_bytes() == b"n" * 10 + b"m"
    file.close()
    assert file.open()
