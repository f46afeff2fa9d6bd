"""One session at a time may change an image: among threads, processes, and machines that share nothing but files."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pspnet_core.errors import StorageError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.read import read_info
from pspnet_core.project import locks
from pspnet_core.project.lock_file import Holder
from pspnet_core.project.locks import STALE_S, ItemLockedError, ItemLocks, StaleWatch
from pspnet_core.project.mask_versions import MaskChangedError
from pspnet_core.project.plane_files import mask_path
from pspnet_core.project.project import Project
from tests.helpers.tiny_files import put_image

KEY = "images/a.jpg"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put_image(tmp_path / "root" / KEY)
    return tmp_path / "root"


@pytest.fixture
def other_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], ItemLocks]:
    """Locks of a session for which the system's own locks say nothing, as on a network."""

    def make(folder: Path, name: str) -> ItemLocks:
        monkeypatch.setattr(locks, "_machine", lambda: name)
        return ItemLocks(folder, name)

    return make


def test_one_of_two_sessions_gets_it_and_the_other_is_told_who(tmp_path: Path) -> None:
    first, second = ItemLocks(tmp_path, "one"), ItemLocks(tmp_path, "two")
    assert first.acquire(KEY) is None
    assert first.acquire(KEY) is None
    holder = second.acquire(KEY)
    assert holder is not None
    assert holder == second.refused(KEY)
    assert str(holder) == f"{holder.user} on {holder.host}"
    assert second.acquire("images/b.jpg") is None
    first.release(KEY)
    assert second.acquire(KEY) is None
    assert second.refused(KEY) is None


@pytest.mark.parametrize("has_links", [True, False])
def test_many_rivals_have_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", no_link)
    for round_number in range(10):
        rivals = [ItemLocks(tmp_path, str(n)) for n in range(8)]
        results: list[Holder | None] = []
        start = threading.Barrier(len(rivals))

        def compete(rival: ItemLocks, start: threading.Barrier = start, results: list[Holder | None] = results) -> None:
            start.wait()
            results.append(rival.acquire(KEY))

        threads = [threading.Thread(target=compete, args=(rival,)) for rival in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results.count(None) == 1, round_number
        for rival in rivals:
            rival.release(KEY)
    assert [path.name for path in (tmp_path / "locks").rglob("*") if path.is_file()] == []


def test_a_holder_that_counts_up_is_never_stale_and_one_that_does_not_is(tmp_path: Path, other_machine) -> None:
    clock = Clock()
    watch = StaleWatch(clock)
    first = other_machine(tmp_path, "here")
    assert first.acquire(KEY) is None
    second = other_machine(tmp_path, "there")
    for _ in range(10):
        clock.now += STALE_S - 1
        assert first.beat() == []
        assert not watch.is_stale(second.holder(KEY))
    clock.now += STALE_S
    assert watch.is_stale(second.holder(KEY))


def test_a_stale_lock_is_taken_over_and_its_holder_writes_no_more(tmp_path: Path, other_machine) -> None:
    first = other_machine(tmp_path, "here")
    first.acquire(KEY)
    second = other_machine(tmp_path, "there")
    stale = second.acquire(KEY)
    assert stale is not None
    first.beat()
    assert second.take_over(KEY, stale) is not None  # it lives
    with first.writing(KEY):
        pass
    stale = second.holder(KEY)
    assert second.take_over(KEY, stale) is None
    with pytest.raises(ItemLockedError, match="is being changed by"), first.writing(KEY):
        raise AssertionError("it wrote")
    second.release(KEY)
    with pytest.raises(ItemLockedError), first.writing(KEY):  # also then: what it knows is older
        raise AssertionError("it wrote")
    assert first.acquire(KEY) is not None
    assert first.beat() == []


def test_a_beat_tells_what_was_lost_and_never_writes_into_the_lock_of_another(tmp_path: Path, other_machine) -> None:
    first = other_machine(tmp_path, "here")
    first.acquire(KEY)
    first.acquire("b.jpg")
    second = other_machine(tmp_path, "there")
    second.take_over(KEY, second.holder(KEY))
    path = tmp_path / "locks" / f"{KEY}.lock"
    before = path.read_bytes()
    assert first.beat() == [KEY]
    assert path.read_bytes() == before
    assert json.loads((tmp_path / "locks" / "b.jpg.lock").read_bytes())["beat"] == 1


def test_of_two_who_take_over_one_gets_it(tmp_path: Path, other_machine) -> None:
    other_machine(tmp_path, "dead").acquire(KEY)
    first, second = other_machine(tmp_path, "one"), other_machine(tmp_path, "two")
    stale = first.holder(KEY)
    assert first.take_over(KEY, stale) is None
    holder = second.take_over(KEY, stale)  # what it saw is gone by now
    assert holder is not None
    with first.writing(KEY):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"[]", b"\xff" * 40, b'{"user": 1}'])
def test_a_lock_that_cannot_be_read_counts_as_held(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "locks" / f"{KEY}.lock"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    mine = ItemLocks(tmp_path, "one")
    holder = mine.acquire(KEY)
    assert str(holder) == "another window"
    assert mine.take_over(KEY, holder) is None


def test_a_lock_for_one_save_does_not_stay(root: Path) -> None:
    project = Project.open(root)
    item = project.item(KEY)
    project.save_annotation(item, *planes(project, 1))
    assert not any(path.is_file() for path in (project.folder / "locks").rglob("*"))
    other = ItemLocks(project.folder, "other")
    other.acquire(KEY)
    before = mask_path(project.folder, KEY).read_bytes()
    with pytest.raises(ItemLockedError):
        project.save_annotation(item, *planes(project, 2))
    assert mask_path(project.folder, KEY).read_bytes() == before


# --- locks that were lost


def test_a_folder_that_is_away_for_a_moment_takes_no_lock_away(root: Path) -> None:
    project = Project.open(root)
    item = project.item(KEY)
    project.save()
    assert project.locks.acquire(KEY) is None
    away = root.with_name("away")
    root.rename(away)
    assert project.locks.beat() == []
    with pytest.raises(StorageError) as caught:
        project.save_annotation(item, *planes_of(away, 1))
    assert not isinstance(caught.value, ItemLockedError)
    assert not root.exists()  # no other folder took its place
    away.rename(root)
    assert project.locks.beat() == []
    assert ItemLocks(project.folder, "other").acquire(KEY) is not None
    project.save_annotation(item, *planes(project, 1))


@pytest.mark.skipif(os.name == "nt", reason="there a file that is open cannot be moved away")
def test_a_folder_that_comes_back_with_new_files_brings_the_lock_back(tmp_path: Path) -> None:
    mine = ItemLocks(tmp_path, "one")
    mine.acquire(KEY)
    path = tmp_path / "locks" / f"{KEY}.lock"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # as after a drive was mounted again
    assert mine.holder(KEY) is None  # it is no other's
    assert mine.beat() == []
    assert json.loads(path.read_bytes())["beat"] > json.loads(content)["beat"]
    assert ItemLocks(tmp_path, "two").acquire(KEY) is not None
    mine.release(KEY)
    assert not path.exists()


@pytest.mark.parametrize("has_written", [False, True])
def test_a_lock_that_was_lost_comes_back_unless_the_mask_was_written(root: Path, has_written: bool) -> None:
    first = Project.open(root)
    item = first.item(KEY)
    first.masks.note(KEY)
    assert first.locks.acquire(KEY) is None
    first.save_annotation(item, *planes(first, 1))
    second = Project.open(root)
    assert second.locks.take_over(KEY, second.locks.acquire(KEY)) is None
    if has_written:
        second.save_annotation(item, *planes(second, 2))
    assert first.locks.beat() == [KEY]
    assert first.locks.acquire(KEY) is not None
    second.locks.release(KEY)
    if not has_written:
        first.save_annotation(item, *planes(first, 3))
        assert first.locks.acquire(KEY) is None
        return
    for _ in range(2):
        with pytest.raises(MaskChangedError):
            first.save_annotation(item, *planes(first, 3))
    assert (read_class_map(mask_path(first.folder, KEY)) == 2).all()
    assert second.locks.acquire(KEY) is None  # nothing of the attempts stays
    second.locks.release(KEY)
    first.masks.note(KEY)  # a person has chosen what was painted here
    first.save_annotation(item, *planes(first, 3))


def test_what_was_open_when_the_power_went_is_free_after_the_start(root: Path) -> None:
    before = Project.open(root)
    before.save()
    assert before.locks.acquire(KEY) is None
    os.close(before.locks._held[KEY].handle)  # the system keeps no lock beyond itself; the file stays as it was
    assert Project.open(root).locks.acquire(KEY) is None


def test_a_machine_has_the_same_name_after_it_was_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text
    boots = iter(range(100))

    def read_text(path: Path, *arguments: object, **names: object) -> str:
        return f"boot {next(boots)}" if "boot_id" in str(path) else read(path, *arguments, **names)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert locks._machine.__wrapped__() == locks._machine.__wrapped__()


@pytest.mark.parametrize("num_bytes", [195, 196, 228, 229, 237, 250])
def test_the_longest_names_can_be_locked(tmp_path: Path, num_bytes: int) -> None:
    key = "images/" + "n" * (num_bytes - 4) + ".jpg"
    mine, other = ItemLocks(tmp_path, "one"), ItemLocks(tmp_path, "two")
    assert mine.acquire(key) is None
    stale = other.acquire(key)
    assert stale is not None
    assert other.take_over(key, stale) is None
    assert mine.beat() == [key]
    other.release(key)
    assert [path for path in (tmp_path / "locks").rglob("*") if path.is_file()] == []


# --- two processes


class Other:
    """Another process with the same project open."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.lock_holder", str(root), KEY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def other(root: Path) -> Iterator[Other]:
    other = Other(root)
    yield other
    other.process.kill()
    other.process.communicate()


def planes_of(root: Path, class_id: int) -> tuple[np.ndarray, np.ndarray]:
    info = read_info(root / KEY)
    class_map = np.full((info.height, info.width), class_id, np.uint8)
    return class_map, np.full_like(class_map, 2)


def planes(project: Project, class_id: int) -> tuple[np.ndarray, np.ndarray]:
    return planes_of(project.root, class_id)


def test_two_processes_never_write_one_mask(root: Path, other: Other) -> None:
    project = Project.open(root)
    assert other("acquire") == "mine"
    assert other("save 1") == "saved"
    holder = project.locks.acquire(KEY)
    assert holder is not None
    with pytest.raises(ItemLockedError):
        project.save_annotation(project.item(KEY), *planes(project, 2))
    assert (read_class_map(mask_path(project.folder, KEY)) == 1).all()
    assert other("release") == "released"
    assert project.locks.acquire(KEY) is None
    assert other("acquire").startswith("held by")
    assert other("save 3").startswith("ItemLockedError")
    project.save_annotation(project.item(KEY), *planes(project, 2))
    assert (read_class_map(mask_path(project.folder, KEY)) == 2).all()


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_the_lock_of_a_process_that_was_killed_is_free_at_once(root: Path, other: Other) -> None:
    project = Project.open(root)
    assert other("acquire") == "mine"
    assert project.locks.holder(KEY) is not None
    other.process.send_signal(signal.SIGKILL)
    other.process.wait()
    assert project.locks.holder(KEY) is None
    assert project.locks.acquire(KEY) is None


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_a_process_that_slept_while_its_lock_was_taken_over_writes_nothing(root: Path, other: Other) -> None:
    project = Project.open(root)
    assert other("acquire") == "mine"
    other.process.send_signal(signal.SIGSTOP)
    clock = Clock()
    watch = StaleWatch(clock)
    holder = project.locks.acquire(KEY)
    assert not watch.is_stale(holder)
    clock.now += STALE_S
    assert watch.is_stale(project.locks.holder(KEY))
    assert project.locks.take_over(KEY, holder) is None
    project.save_annotation(project.item(KEY), *planes(project, 2))
    other.process.send_signal(signal.SIGCONT)
    assert other("save 1").startswith("ItemLockedError")
    assert other("beat") == "lost []"  # the save has found it out already
    assert (read_class_map(mask_path(project.folder, KEY)) == 2).all()
