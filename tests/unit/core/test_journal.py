"""The journal: what was written comes back pixel by pixel, with its history, wherever the program was cut off."""

from __future__ import annotations

import builtins
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pspnet_core.errors import JournalError, StorageError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project import plane_files
from pspnet_core.project.conversion import convert_class, take_back
from pspnet_core.project.journal import Journal
from pspnet_core.project.journal_budget import trim
from pspnet_core.project.journal_log import Kind, read_log
from pspnet_core.project.project import Project
from pspnet_core.project.replay import digest_of, digests_of, replay
from pspnet_core.types import Rect
from tests.helpers.journals import KEY, SIDE, Hand, journal_files, make_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_project(tmp_path / "p")
    return tmp_path / "p"


def titles(hand: Hand) -> str:
    return " ".join(notice.title for notice in hand.notices)


def mask_file(root: Path, plane: str = "masks") -> Path:
    return root / ".pspnet-studio" / plane / f"{KEY}.png"


def painted(root: Path, num: int = 3) -> Hand:
    """A session with some strokes in the journal, none of them in the mask."""
    hand = Hand(root)
    for number in range(num):
        hand.stroke(3 * number, 2 * number, 8, number % 3)
        hand.write()
    return hand


def test_strokes_that_were_never_saved_come_back_with_their_undo(root: Path) -> None:
    before = painted(root, 3)
    before.end()
    assert not mask_file(root).exists()
    after = Hand(root)
    assert after.state == before.state
    assert titles(after) == "3 strokes that had not been saved were restored."
    assert (after.can_undo, after.can_redo) == (3, 0)
    after.go(0)
    assert after.planes[0].is_blank


def test_opening_writes_nothing(root: Path) -> None:
    painted(root).end()
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    Hand(root).end()
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_everybody_who_reads_masks_sees_the_strokes(root: Path) -> None:
    hand = painted(root)
    hand.end()
    project = Project.open(root)
    assert project.has_annotation(project.item(KEY))
    class_map = project.load_annotation(project.item(KEY), SIDE, SIDE).class_map
    assert class_map.tobytes() == hand.state[0]


def test_after_a_save_nothing_is_restored_and_undo_is_still_there(root: Path) -> None:
    hand = painted(root)
    hand.go(2)
    hand.save()
    hand.end()
    after = Hand(root)
    assert after.notices == ()
    assert (after.state, after.can_undo, after.can_redo) == (hand.state, 2, 1)


def test_one_file_goes_from_session_to_session(root: Path) -> None:
    for _ in range(4):
        hand = Hand(root)
        hand.stroke(1, 1, 5, 1)
        hand.stroke(2, 2, 5, 0)
        hand.save()
        hand.end()
    (path,) = journal_files(root)
    assert path.stem == hand.project.session
    assert Hand(root).can_undo == 8


def test_a_new_stroke_takes_what_could_be_redone_away_for_good(root: Path) -> None:
    hand = painted(root, 3)
    hand.go(1)
    hand.stroke(20, 20, 6, 2)
    hand.write()
    hand.end()
    after = Hand(root)
    assert (after.state, after.can_undo, after.can_redo) == (hand.state, 2, 0)


def test_a_torn_tail_is_cut_at_every_byte(root: Path) -> None:
    hand = Hand(root)
    states = [(0, hand.state)]
    for number in range(4):
        if number == 2:
            hand.go(1)
        else:
            hand.stroke(4 * number, 3, 7, number % 3)
        hand.write()
        states.append((os.path.getsize(journal_files(root)[0]), hand.state))
    hand.end()
    (path,) = journal_files(root)
    data = path.read_bytes()
    begin = read_log(path).records[1].offset
    folder = root / ".pspnet-studio"
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        planes = PlaneStore(SIDE, SIDE, 255), PlaneStore(SIDE, SIDE, 0)
        found = replay(folder, KEY, *planes)
        whole = dict(states)[max(end for end, _ in states if end <= size)]
        assert (planes[0].to_array().tobytes(), planes[1].to_array().tobytes(), found.depth) == whole, size
        is_torn = any("not written to its end" in notice.title for notice in found.notices)
        assert is_torn == (size > begin and size not in dict(states)), size


def test_no_damage_gives_a_state_that_never_was(root: Path) -> None:
    hand = Hand(root)
    states = {hand.state[:2]}
    for number in range(6):
        hand.go(1) if number == 3 else hand.stroke(4 * number, 3, 7, number % 3)
        hand.write()
        states.add(hand.state[:2])
    hand.end()
    (path,) = journal_files(root)
    data = path.read_bytes()
    rng = np.random.default_rng(5)
    blocked = 0
    for _ in range(600):
        damaged = bytearray(data)
        start = int(rng.integers(0, len(data)))
        length = int(rng.choice((1, 1, 4, 60)))
        match rng.integers(0, 4):
            case 0:
                damaged[start : start + length] = rng.bytes(len(damaged[start : start + length]))
            case 1:
                del damaged[start : start + length]
            case 2:
                damaged[start:start] = rng.bytes(length)
            case 3:
                damaged += data[start:]
        path.write_bytes(damaged)
        planes = PlaneStore(SIDE, SIDE, 255), PlaneStore(SIDE, SIDE, 0)
        try:
            replay(root / ".pspnet-studio", KEY, *planes)
        except JournalError:
            blocked += 1
        else:
            assert (planes[0].to_array().tobytes(), planes[1].to_array().tobytes()) in states
    assert 100 < blocked < 600


def test_going_on_after_a_torn_tail_overwrites_it(root: Path) -> None:
    hand = painted(root)
    hand.end()
    (path,) = journal_files(root)
    path.write_bytes(path.read_bytes() + b"PSJR half of a record")
    after = Hand(root)
    after.stroke(30, 30, 5, 1)
    after.write()
    after.end()
    last = Hand(root)
    assert last.state == after.state
    assert read_log(journal_files(root)[0]).cut_bytes == 0


@pytest.mark.parametrize("place", range(4))
def test_damage_before_unsaved_strokes_blocks_and_tells_the_way_out(root: Path, place: int) -> None:
    painted(root, 3).end()
    (path,) = journal_files(root)
    record = read_log(path).records[place]
    data = bytearray(path.read_bytes())
    data[record.offset + record.size - 2] ^= 8
    path.write_bytes(data)
    if place == 3:  # the last one: nobody can tell this from a write that was cut off
        assert Hand(root).can_undo == 2
        return
    with pytest.raises(JournalError) as caught:
        Hand(root)
    assert KEY in caught.value.title
    assert str(path) in caught.value.detail
    assert "Move it away" in caught.value.remedy or "move it away" in caught.value.remedy
    assert path.read_bytes() == bytes(data)
    path.rename(path.with_suffix(".elsewhere"))
    assert Hand(root).planes[0].is_blank


def test_damage_in_what_is_saved_costs_only_the_undo_before_it(root: Path) -> None:
    hand = painted(root, 3)
    hand.save()
    hand.stroke(25, 3, 9, 2)
    hand.write()
    hand.end()
    (path,) = journal_files(root)
    record = read_log(path).records[2]
    data = bytearray(path.read_bytes())
    data[record.offset] ^= 1
    path.write_bytes(data)
    after = Hand(root)
    assert after.state == hand.state
    assert (after.can_undo, after.can_redo) == (1, 0)
    after.stroke(0, 30, 5, 0)
    after.save()
    after.end()
    assert Hand(root).state == after.state


def test_a_newer_format_is_refused(root: Path) -> None:
    import struct
    import zlib

    painted(root, 1).end()
    (path,) = journal_files(root)
    data = bytearray(path.read_bytes())
    data[4] = 9
    data[26:30] = struct.pack("<I", zlib.crc32(data[:26]))
    path.write_bytes(data)
    with pytest.raises(JournalError, match="format 9"):
        Hand(root)


@pytest.mark.parametrize("is_saved", [True, False])
def test_a_mask_that_another_program_changed_stays_as_it_is(root: Path, is_saved: bool) -> None:
    hand = painted(root)
    hand.save()
    if not is_saved:
        hand.stroke(20, 20, 9, 1)
        hand.write()
    hand.end()
    other = np.full((SIDE, SIDE), 2, np.uint8)
    Image.fromarray(other).save(mask_file(root))
    after = Hand(root)
    assert (after.planes[0].to_array() == other).all()
    assert "changed outside" in titles(after)
    assert (after.can_undo, after.can_redo) == (0, 0)
    assert ("do not fit" in titles(after)) == (not is_saved)
    after.stroke(0, 0, 4, 0)
    after.save()
    after.end()
    assert [path.suffix for path in journal_files(root)] == [".journal"] if is_saved else [".aside", ".journal"]
    assert Hand(root).notices == ()


@pytest.mark.parametrize("is_open", [True, False])
def test_strokes_of_this_session_that_fit_no_mask_any_more_are_kept(root: Path, is_open: bool) -> None:
    hand = painted(root)
    hand.save()
    for round_ in range(2):
        hand.stroke(20, 20, 9 + round_, 1)
        hand.write()
        unsaved = hand.journal.path.read_bytes()
        if not is_open:
            hand.end()
        Image.fromarray(np.full((SIDE, SIDE), 2 - round_, np.uint8)).save(mask_file(root))
        found = hand.project.load_annotation(hand.item, SIDE, SIDE).replay
        assert found is not None
        assert found.set_aside == (hand.journal.path,)
        planes = hand.planes[0].snapshot(), hand.planes[1].snapshot()
        hand.journal = Journal(hand.project.home, KEY, hand.project.session, found, planes)
        hand.depth = 0
        hand.stroke(0, 0, 4 + round_, 0)
        hand.write()
        aside = [path.read_bytes() for path in journal_files(root) if path.suffix == ".aside"]
        assert len(aside) == round_ + 1, "none replaces another"
        assert unsaved in aside
        hand.save()
    hand.end()


def test_a_mask_that_was_only_packed_anew_keeps_its_history(root: Path) -> None:
    hand = painted(root)
    hand.save()
    hand.stroke(20, 20, 9, 1)
    hand.write()
    hand.end()
    with Image.open(mask_file(root)) as image:
        pixels = np.array(image)
    Image.fromarray(pixels).save(mask_file(root), compress_level=0)
    after = Hand(root)
    assert (after.state, after.can_undo) == (hand.state, 4)


def test_a_crash_between_the_two_planes_of_a_save(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = painted(root, 2)
    hand.save()
    hand.stroke(20, 20, 9, 1)
    hand.go(1)
    hand.stroke(5, 20, 9, 2)
    write = plane_files.write_class_map

    def once(path: Path, *args: Any) -> None:
        if "provenance" in path.parts:
            raise KeyboardInterrupt
        write(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(plane_files, "write_class_map", once)
        with pytest.raises(KeyboardInterrupt):
            hand.save()
    hand.end()
    after = Hand(root)
    assert (after.state, after.can_undo) == (hand.state, 2)


def test_the_budget_drops_the_oldest_and_the_file_shrinks(root: Path) -> None:
    rng = np.random.default_rng(1)
    hand = Hand(root, budget_bytes=4_000)
    for _ in range(120):
        hand.stroke(*(int(v) for v in rng.integers(0, 30, 2)), 9, int(rng.integers(0, 3)))
        hand.write()
        if rng.random() < 0.3:
            hand.save()
    hand.save()
    hand.stroke(0, 0, 3, 0)
    hand.stroke(0, 0, 3, 1)
    hand.go(hand.depth - 1)
    hand.write()
    hand.end()
    assert os.path.getsize(journal_files(root)[0]) < 6_000
    after = Hand(root)
    assert after.state == hand.state
    assert 5 < after.can_undo < 60
    assert after.can_redo == 1
    after.go(after.first)
    hand.go(after.first)
    assert after.state[:2] == hand.state[:2]


def test_a_stroke_that_comes_while_the_file_is_written_anew_is_not_taken_for_saved(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(root, budget_bytes=600)
    for number in range(12):
        hand.stroke(2 * number, 2 * number, 9, number % 3)
    hand.write()
    write_anew = hand.journal._anew

    def slowly(*arguments: Any, **options: Any) -> Iterator[bytes]:
        yield from write_anew(*arguments, **options)
        hand.stroke(30, 0, 9, 1)

    monkeypatch.setattr(hand.journal, "_anew", slowly)
    hand.save()
    assert hand.journal.is_behind
    hand.journal.budget_bytes = 10**9
    hand.save()
    hand.end()
    records = read_log(hand.journal.path).records
    assert records[-1].kind is Kind.SAVED
    assert records[-1].number == max(record.number for record in records)
    after = Hand(root)
    assert (after.state, after.notices) == (hand.state, ())


def test_nothing_is_lost_when_the_disk_is_full(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = painted(root, 1)
    sync = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for number in range(3):
        hand.stroke(10 * number, 20, 7, 2)
        with pytest.raises(StorageError, match="disk is full"):
            hand.write()
        assert hand.journal.is_behind
    monkeypatch.setattr(os, "fsync", sync)
    hand.write()
    hand.end()
    after = Hand(root)
    assert (after.state, after.can_undo) == (hand.state, 4)


def test_a_journal_that_cannot_be_written_does_not_keep_the_mask_from_being_saved(root: Path) -> None:
    (root / ".pspnet-studio" / "journal").write_text("in the way")
    hand = Hand(root)
    hand.stroke(1, 1, 5, 1)
    with pytest.raises(StorageError):
        hand.save()
    assert mask_file(root).exists()
    (root / ".pspnet-studio" / "journal").unlink()
    hand.save()
    hand.end()
    assert (Hand(root).state, Hand(root).can_undo) == (hand.state, 1)


def test_two_sessions_never_write_to_one_file(root: Path) -> None:
    hand = painted(root, 2)
    hand.save()
    one, two = Hand(root), Hand(root)  # while the first one is alive, too
    for number, session in enumerate((one, two, hand)):
        session.stroke(5 * number, 30, 4, number)
        session.write()
    assert len(journal_files(root)) == 3
    for path in journal_files(root):
        assert read_log(path).damaged_at is None
        assert sum(record.kind is Kind.STROKE for record in read_log(path).records) == 3


def test_the_one_that_saved_last_wins_and_the_other_is_kept(root: Path) -> None:
    hand = painted(root, 2)
    hand.save()
    other = Hand(root)
    other.stroke(5, 30, 4, 2)
    other.write()
    hand.stroke(9, 9, 4, 2)
    hand.save()
    hand.end()
    other.end()
    after = Hand(root)
    assert after.state == hand.state
    assert "do not fit" in titles(after)
    after.stroke(0, 0, 2, 1)
    after.write()
    assert sorted(path.suffix for path in journal_files(root)) == [".aside", ".journal"]


def test_a_journal_that_may_not_be_written_is_gone_on_with_in_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = painted(root, 3)
    hand.go(2)
    hand.save()
    hand.end()
    (old,) = journal_files(root)
    real = builtins.open

    def refuse(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if path == old and "+" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", refuse)
    after = Hand(root)
    after.go(3)
    after.stroke(30, 1, 5, 1)
    after.write()
    after.end()
    assert len(journal_files(root)) == 2
    last = Hand(root)
    assert (last.state, last.can_undo) == (after.state, 4)


def test_a_journal_that_was_taken_away_is_begun_anew(root: Path) -> None:
    hand = painted(root, 2)
    hand.save()
    journal_files(root)[0].unlink()
    hand.stroke(9, 9, 4, 2)
    hand.save()
    hand.end()
    assert (Hand(root).state, Hand(root).can_undo) == (hand.state, 1)


def test_undo_of_what_the_file_does_not_hold_is_written_out(root: Path) -> None:
    hand = painted(root, 4)
    hand.save()
    journal_files(root)[0].unlink()
    hand.go(1)
    hand.go(2)
    hand.stroke(9, 9, 4, 2)
    hand.write()
    hand.end()
    assert (Hand(root).state, Hand(root).can_undo) == (hand.state, 1)


def test_the_project_s_budget_drops_whole_journals_but_nothing_unsaved(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    roots = [make_project(tmp_path / name).root for name in "abc"]
    for number, root in enumerate(roots):
        hand = painted(root, 3)
        if number != 1:
            hand.save()
        hand.end()
        (folder / "journal" / str(number)).mkdir(parents=True)
        target = folder / "journal" / str(number) / "x.journal"
        os.replace(journal_files(root)[0], target)
        os.utime(target, (number, number))
    *_, size = trim(folder, 10**9)
    assert size == sum(path.stat().st_size for path in folder.rglob("*.journal"))
    list(trim(folder, size - 1))
    assert sorted(path.parent.name for path in folder.rglob("*.journal")) == ["1", "2"]
    assert list(trim(folder, 0))[-1] > 0
    assert [path.parent.name for path in folder.rglob("*.journal")] == ["1"]


def test_converting_a_class_everywhere_is_a_step_of_the_history(root: Path) -> None:
    hand = painted(root, 3)
    hand.end()
    project = Project.open(root)
    patches = [event.patch for event in convert_class(project, 0, 2) if event.patch is not None]
    after = Hand(root)
    assert after.notices == ()
    assert (after.can_undo, (after.planes[0].to_array() == 0).any()) == (4, np.False_)
    after.go(3)
    assert after.state == hand.state
    assert [event.failure for event in take_back(project, patches)] == [None]
    last = Hand(root)
    assert (last.state[:2], last.can_undo) == (hand.state[:2], 5)


def test_the_digest_is_of_the_pixels_alone() -> None:
    plane = PlaneStore(1200, 700, 255)
    empty = digest_of(plane)
    plane.write(Rect(600, 600, 4, 4), np.full((4, 4), 3, np.uint8))
    other = PlaneStore.from_array(plane.to_array(), 255)
    assert digest_of(plane) == digest_of(other) != empty
    plane.write(Rect(600, 600, 4, 4), np.full((4, 4), 255, np.uint8))
    assert digest_of(plane) == empty != digest_of(PlaneStore(700, 1200, 255))


_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("stroke"),
            st.integers(0, 39),
            st.integers(0, 39),
            st.integers(1, 12),
            st.sampled_from((0, 1, 2, 255)),
        ),
        st.tuples(st.sampled_from(("undo", "redo", "back", "write", "save", "half save", "crash", "torn"))),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_steps, st.integers(0, 10_000))
def test_whatever_was_written_comes_back(steps: list[tuple[Any, ...]], budget: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "p"
        make_project(root)
        hand = Hand(root, budget_bytes=budget)
        durable, num_undo = hand.state, 0
        for name, *numbers in [*steps, ("crash",)]:
            if name == "stroke":
                hand.stroke(*numbers)
            elif name == "undo" and hand.can_undo:
                hand.go(hand.depth - 1)
            elif name == "redo" and hand.can_redo:
                hand.go(hand.depth + 1)
            elif name == "back":
                hand.go(hand.first)
            elif name == "write":
                hand.write()
            elif name == "save":
                hand.save()
            elif name == "half save":
                _save_class_map_only(hand)
            if name in ("write", "save", "half save"):
                durable, num_undo = hand.state, hand.can_undo
            if name in ("crash", "torn"):
                if name == "torn":
                    _leave_half_a_record(root)
                hand.end()
                hand = Hand(root, budget_bytes=budget)
                assert hand.state[:2] == durable[:2]
                assert hand.can_undo <= num_undo
                if budget == 10_000:
                    assert hand.can_undo == num_undo
                durable, num_undo = hand.state, hand.can_undo
        before = hand.state
        depth = hand.depth
        hand.go(hand.first)
        hand.go(depth)
        assert hand.state == before


def _save_class_map_only(hand: Hand) -> None:
    """The program ends between the two files of a save."""
    write = plane_files.write_class_map
    try:
        plane_files.write_class_map = lambda path, *rest: None if "provenance" in path.parts else write(path, *rest)
        snapshots = hand.planes[0].snapshot(), hand.planes[1].snapshot()
        hand.journal.begin_save(hand.journal.position, digests_of(*snapshots))
        hand.project.save_annotation(hand.item, *(plane.to_array() for plane in snapshots))
    finally:
        plane_files.write_class_map = write


def _leave_half_a_record(root: Path) -> None:
    folder = root / ".pspnet-studio" / "journal" / KEY
    for path in folder.iterdir() if folder.exists() else ():
        with path.open("ab") as stream:
            stream.write(b"PSJR\x01\x01" + bytes(17))
