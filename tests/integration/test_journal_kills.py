"""A process that paints is killed at any moment, or its disk is full: what it said was written is there."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pspnet_core.errors import StorageError
from tests.helpers.journals import Hand, make_project

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_STEPS = 400

PAINTER = """
import sys
from pathlib import Path
from tests.integration.test_journal_kills import steps
from tests.helpers.journals import Hand
hand = Hand(Path(sys.argv[1]))
for number, step in enumerate(steps(int(sys.argv[2]))):
    if step(hand):
        print(number + 1, flush=True)
"""


def steps(seed: int):
    """What the painter does, one after the other; each tells whether all before it is on the disk now."""
    rng = random.Random(seed)

    def stroke(x: int, y: int, size: int, class_id: int):
        def run(hand: Hand) -> bool:
            hand.stroke(x, y, size, class_id)
            hand.write()
            return True

        return run

    def go(share: float):
        def run(hand: Hand) -> bool:
            hand.go(hand.first + round(share * (hand.can_undo + hand.can_redo)))
            hand.write()
            return True

        return run

    def save(hand: Hand) -> bool:
        hand.save()
        return True

    for _ in range(NUM_STEPS):
        kind = rng.random()
        if kind < 0.7:
            yield stroke(rng.randrange(40), rng.randrange(40), rng.randrange(1, 14), rng.choice((0, 1, 2, 255)))
        elif kind < 0.85:
            yield go(rng.random())
        else:
            yield save


def states_after(root: Path, seed: int, first: int, last: int) -> list[tuple[bytes, bytes, int]]:
    """How the item looks after ``first`` to ``last`` steps that nothing interrupts."""
    make_project(root)
    hand, states = Hand(root), []
    for number, step in enumerate(steps(seed), start=1):
        if number > last:
            break
        step(hand)
        if number >= first:
            states.append(hand.state)
    hand.end()
    return states


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("seed", range(5))
def test_what_was_written_before_the_kill_is_there(tmp_path: Path, seed: int) -> None:
    root = tmp_path / "killed"
    make_project(root)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "app")])}
    painter = subprocess.Popen(
        [sys.executable, "-c", PAINTER, str(root), str(seed)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert painter.stdout is not None
    rng = random.Random(seed)
    read = [int(painter.stdout.readline()) for _ in range(rng.randrange(1, 60))]
    time.sleep(rng.random() * 0.02)
    painter.send_signal(signal.SIGKILL)
    told = [*read, *(int(line) for line in painter.stdout.read().split())]
    painter.wait()
    painter.stdout.close()
    after = Hand(root)
    # The last word may have been lost: then one more step is there.
    assert after.state in states_after(tmp_path / "whole", seed, told[-1], told[-1] + 1)
    assert not any("damaged" in notice.title or "outside" in notice.title for notice in after.notices)
    after.stroke(1, 1, 20, 1)
    after.save()
    after.end()
    assert Hand(root).state == after.state


def fill_disk(folder: Path) -> Path:
    """A file that leaves no room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(1024)) == 1024:
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return filler


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs a file system of its own")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system")
    try:
        root = tmp_path / "p"
        make_project(root)
        hand = Hand(root)
        hand.stroke(1, 1, 9, 0)
        hand.write()
        filler = fill_disk(root)
        failures = []
        for number in range(60):
            hand.stroke(number % 20, number % 17, 20, number % 3)
            try:
                hand.write()
            except StorageError as error:
                failures.append(error.title)
        assert failures
        assert all("disk is full" in title for title in failures)
        with pytest.raises(StorageError):
            hand.save()
        filler.unlink()
        hand.save()
        hand.end()
        after = Hand(root)
        assert (after.state, after.can_undo, after.notices) == (hand.state, hand.can_undo, ())
        after.end()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_the_window_loses_nothing_when_it_is_killed_or_the_power_is_cut() -> None:
    from tests.benchmarks.crash import measure

    found = measure(1, seed=3)
    assert found["strokes"] >= 5
    assert found["states_checked"] > 3
    assert (found["strokes_lost"], found["files_corrupted"], found["problems"]) == (0, 0, [])
