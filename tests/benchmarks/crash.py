"""Kills the studio while a person paints, saves, exports and trains; looks for every stroke afterwards.

    python -m tests.benchmarks.crash --kills 100 --json

A stroke that was released more than a second before the kill has to be there when the project is opened again, pixel by
pixel. kill -9 proves no fsync: in every fourth run the writes are recorded in their order, and folders are rebuilt in
which what was not synced is gone, complete or torn; each is opened, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.read import read_info
from pspnet_core.project.journal_log import read_log
from pspnet_core.project.project import Project
from pspnet_core.project.replay import Replay, digests_of
from pspnet_core.types import UNLABELLED
from tests.benchmarks.crash_disk import read_record, states
from tests.helpers.folders import make_folder

_GRACE_S = 1.0
_MIN_STROKES = 5
_MAX_MORE_S = 3.0
_RECORD_EVERY, _TRAIN_EVERY = 4, 5
_MOMENTS = 12
_START_S = 60
_REPOSITORY = Path(__file__).resolve().parents[2]


State = tuple[str, str, int]
"""Digests of both planes, and how deep in the history they are: the same pixels come back after undo and redo."""


@dataclass
class Result:
    """What was found."""

    kills: int = 0
    strokes: int = 0
    strokes_lost: int = 0
    files_corrupted: int = 0
    states_checked: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Told:
    """What the process said about one item: its state after each action, and when."""

    after: list[tuple[float, State]] = field(default_factory=list)
    num_strokes: int = 0

    def expected(self, until_s: float) -> int:
        """How many of the actions must have survived."""
        return sum(at_s <= until_s for at_s, _ in self.after)


def kill_once(folder: Path, seed: int, log: Path | None, is_training: bool) -> tuple[dict[str, Told], float]:
    """Let a person paint and end the process somewhere; what it had said, and when it was killed."""
    arguments = [sys.executable, "-m", "tests.benchmarks.crash_probe", str(folder), str(seed)]
    arguments += ["--record", str(log)] if log is not None else []
    arguments += ["--train"] if is_training else []
    environment = {"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"} | os.environ
    with tempfile.TemporaryFile("w+") as errors:
        probe = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=_REPOSITORY
        )
        lines, killed_s = _kill_somewhere(probe, random.Random(seed))
        if not lines:
            errors.seek(0)
            raise RuntimeError(f"the program did not paint: {errors.read()[-2000:]}")
    told: dict[str, Told] = {}
    for line in lines:
        row = json.loads(line)
        item = told.setdefault(row["item"], Told())
        item.after.append((row["at_s"], (*row["digests"], row["depth"])))
        item.num_strokes += row["is_stroke"]
    return told, killed_s


def _kill_somewhere(probe: subprocess.Popen[str], rng: random.Random) -> tuple[list[str], float]:
    """What it said until it was killed, some time after its first strokes, and when that was."""
    assert probe.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(probe.stdout))  # type: ignore[arg-type]
    reader.start()
    begin_s = time.monotonic()
    while (
        sum('"is_stroke": true' in line for line in lines) < _MIN_STROKES
        and probe.poll() is None
        and time.monotonic() < begin_s + _START_S
    ):
        time.sleep(0.01)
    time.sleep(rng.random() * _MAX_MORE_S)
    probe.send_signal(signal.SIGKILL)
    killed_s = time.monotonic()
    probe.wait()
    reader.join()
    probe.stdout.close()
    return lines, killed_s


def check(folder: Path, told: dict[str, Told], cut_s: float, result: Result, name: str) -> None:
    """Open the project again and look for every stroke; add to the result what is missing."""
    result.files_corrupted += len(broken := broken_files(folder))
    result.problems += [f"{name}: {path} is corrupt" for path in broken]
    try:
        project = Project.open(folder)
    except PspnetError as error:
        result.problems.append(f"{name}: {error}")
        result.strokes_lost += sum(item.expected(cut_s - _GRACE_S) for item in told.values())
        return
    for key, item in told.items():
        expected = item.expected(cut_s - _GRACE_S)
        try:
            found = states_near(project, key)
        except PspnetError as error:
            result.problems.append(f"{name}: {key}: {error}")
            result.strokes_lost += expected
            continue
        places = [place for place, (_, state) in enumerate(item.after, start=1) if state in found]
        last = max(places, default=0)
        if last < expected:
            result.strokes_lost += expected - last
            result.problems.append(f"{name}: {key}: {last} of {expected} actions are there")


def states_near(project: Project, key: str) -> set[State]:
    """The state that is restored, and one step before and after: of the last action nothing may have been said yet."""
    item = project.item(key)
    info = read_info(item.image_path)
    annotation = project.load_annotation(item, info.width, info.height)
    planes = PlaneStore.from_array(annotation.class_map, UNLABELLED), PlaneStore.from_array(annotation.provenance, 0)
    replay = annotation.replay or Replay()
    found = {(*digests_of(*planes), replay.depth)}
    place = replay.depth - replay.first
    for records, is_forward in ((replay.records[place - 1 : place], False), (replay.records[place : place + 1], True)):
        for stroke in records:
            near = planes[0].snapshot(), planes[1].snapshot()
            patch = MaskPatch.from_bytes(stroke.payload)
            (patch.apply if is_forward else patch.revert)(*near)
            found.add((*digests_of(*near), replay.depth + (1 if is_forward else -1)))
    return found


def broken_files(folder: Path) -> list[Path]:
    """Files of ours that cannot be read."""
    broken = []
    for path in sorted(p for p in (folder / ".pspnet-studio").rglob("*") if p.is_file()):
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".png":
                read_class_map(path)
            elif path.suffix == ".journal" and read_log(path).damaged_at is not None:
                broken.append(path)
        except (PspnetError, ValueError):
            broken.append(path)
    return broken


def measure(kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill it so often, each time in the folder that the last time left behind, now and then in a new one."""
    result = Result()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        folder = work / "photos"
        for number in range(kills):
            if number % 10 == 0:
                shutil.rmtree(folder, ignore_errors=True)
                make_folder(folder, count=3, width=320, height=240)
            log = work / "log" if number % _RECORD_EVERY == 0 else None
            if log is not None:
                shutil.rmtree(work / "before", ignore_errors=True)
                shutil.copytree(folder, work / "before" / "photos")
            told, killed_s = kill_once(folder, seed + number, log, number % _TRAIN_EVERY == 0)
            result.kills += 1
            result.strokes += sum(item.num_strokes for item in told.values())
            check(folder, told, killed_s, result, f"kill {number}")
            if log is not None:
                _check_states(work, folder, log, told, result, number)
                log.unlink()
            sys.stderr.write(f"\r{result.kills} kills, {result.strokes} strokes, {result.strokes_lost} lost")
    sys.stderr.write("\n")
    return vars(result) | {"load1": round(os.getloadavg()[0], 2)}


def _check_states(work: Path, folder: Path, log: Path, told: dict[str, Told], result: Result, number: int) -> None:
    """Open what a power cut would have left, at some moments."""
    after, target = work / "after", work / "states"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    folder.rename(after)
    (work / "before" / "photos").rename(folder)  # the record names this place
    try:
        for cut_s, how, state in states(read_record(log), folder, target, _MOMENTS, random.Random(number)):
            check(state, told, cut_s, result, f"cut {number} {how} {state.name}")
            result.states_checked += 1
    finally:
        shutil.rmtree(folder)
        after.rename(folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="only the last line, one JSON object (also the default)")
    options = parser.parse_args()
    print(json.dumps(measure(options.kills, options.seed)))


if __name__ == "__main__":
    main()
