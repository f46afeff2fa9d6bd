"""How good the model is after so many minutes of a person's work, with the program training beside them.

    python -m tests.benchmarks.label_economy DATA --minutes 10 --work DIR --full-miou 0.70 --json

A simulated person (see annotator) corrects the training images of DATA in the program's own order: opens one, paints
where the overlay (version and live refine) is wrong, accepts the rest, marks it as done, opens the next. Beside them
the program fine-tunes, again and again, as soon as `--every` more images are done. Nothing is made up but the clock:
project, overlay, queue, fine-tunes, evidence and adoption are the program's. A fine-tune of `--train-seconds` makes as
many steps as this machine makes in TRAINING_SHARE of that time: the speed is measured at the start, or given
(`--steps-per-second`). A version is used from the second on in which it is done. As in the program, a fine-tune rests
while the person paints, until the answer to the stroke is painted, and while an image that was opened is looked at by
the networks: its end comes so much later. How long these take is measured each time, or given (`--fit-seconds`,
`--look-seconds`; all three make a run repeatable).

`curve`: [[seconds, mIoU on test], ...] of each version that the program adopted. `forest_curve`: the pinned forest,
trained at some of these times on all that was labelled then, and scored on a sample of the test pixels; its own time is
not counted. `full_miou`: `--mode full` of all training images for 20 minutes, or what is given. `minutes_to_90`: when
the curve first reaches 90 % of that; null if it does not. `rested_share`: of the time from the beginning of fine-tunes
to their ends, that in which they rested. In `--work` lie the project and what is finished: the same
command goes on from there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pspnet_core.atomic import write_json
from pspnet_core.errors import TrainingError
from pspnet_core.project.dataset import Dataset, evenly_spaced, open_dataset
from pspnet_core.project.project import Project
from pspnet_core.project.records import Split
from pspnet_core.types import UNLABELLED
from tests.benchmarks.annotator import Annotator, Habits, wrong_share
from tests.benchmarks.economy_scores import (
    TRAINING_SHARE,
    Scores,
    forest_scores,
    full_miou,
    leased,
    measured_speed,
    score,
)
from tests.benchmarks.economy_session import Desk, Pending, make_project


@dataclass(slots=True)
class State:
    """Where a run is; plain values.

    Attributes:
        now_s: On the person's clock.
        images: One row for each corrected image.
        versions: One row for each fine-tune that ended in time.
        pending: The fine-tune that goes on, as a row.
        num_trained: Images that were done when the last fine-tune began.
        current: Version that the person sees.
        stored: Version that the program uses: the same, or the one that is pending.
        busy_s: Seconds for which the fine-tunes that ended ran, without those in which they rested.
        rested_s: Seconds in which a fine-tune was under way, but rested.
        hand: Of the annotator.
    """

    now_s: float = 0.0
    images: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[str, Any] | None = None
    num_trained: int = 0
    current: int | None = None
    stored: int | None = None
    busy_s: float = 0.0
    rested_s: float = 0.0
    hand: dict[str, Any] | None = None

    def ran_s(self, train_seconds: float) -> float:
        """Seconds for which fine-tunes of this length ran until now, that which is under way included."""
        under_way = 0.0 if self.pending is None else train_seconds - max(0.0, self.pending["at_s"] - self.now_s)
        return self.busy_s + max(0.0, under_way)


class Economy:
    """A person at work and the fine-tunes beside them.

    Args:
        desk: The program.
        person: The hand.
        options: Of the command line; ``steps_per_second`` is known.
        state: To go on from.
    """

    def __init__(self, desk: Desk, person: Annotator, options: argparse.Namespace, state: State) -> None:
        self._desk, self._person, self._options, self.state = desk, person, options, state
        self._end_s = 60.0 * options.minutes

    def run(self) -> Iterator[dict[str, Any]]:
        """Work until the time is over or nothing is left; yields a row after each image."""
        while self.state.now_s < self._end_s:
            item = self._desk.next_item()
            if item is None:
                break
            yield self._correct(item)
        if self.state.now_s < self._end_s:
            self._spend(self._end_s - self.state.now_s)

    def _correct(self, item: Any) -> dict[str, Any]:
        state, person, desk = self.state, self._person, self._desk
        opened_s = state.now_s
        self._spend(person.open())
        page = desk.open(item)
        looked_s = desk.looked_s if self._options.look_seconds is None else self._options.look_seconds
        self._rest(min(looked_s, state.now_s - opened_s))
        row = {"key": item.key, "opened_s": round(opened_s, 1), "wrong_before": wrong_share(page.shown, page.truth)}
        row["version"] = state.current
        strokes = 0
        while state.now_s < self._end_s:
            stroke = person.next_stroke(page.shown, page.truth, page.prediction is not None)
            if stroke is None:
                break
            seconds = person.take_time(stroke)
            desk.paint(stroke)
            strokes += 1
            answered_s = desk.answered_s if self._options.fit_seconds is None else [self._options.fit_seconds]
            rest_s = min(stroke.length_px / person.habits.stroke_px_s + leased(answered_s), seconds)
            self._spend(seconds - rest_s)
            state.now_s += rest_s
            self._rest(rest_s)
        row |= {"strokes": strokes, "wrong_after": wrong_share(page.shown, page.truth)}
        row["painted"] = float((page.class_map != UNLABELLED).mean())
        desk.close()
        state.images.append({**row, "closed_s": round(state.now_s, 1)})
        self._spend(person.close())
        state.hand = person.state()
        return state.images[-1]

    def _spend(self, seconds: float) -> None:
        """Let time pass for the person, and the fine-tunes go on beside."""
        state = self.state
        state.now_s += seconds
        while state.pending is not None and state.pending["at_s"] <= min(state.now_s, self._end_s):
            at_s = state.pending["at_s"]
            done = Pending(**state.pending)
            self._land(done)
            self._train_if_due(at_s)
            # In the window images are looked at when nothing is trained.
            if done.adopted and (
                self._options.doubt == "always" or (self._options.doubt == "idle" and not state.pending)
            ):
                self._desk.doubt()
        if state.pending is None:
            self._train_if_due(state.now_s)

    def _rest(self, seconds: float) -> None:
        """The fine-tune that is under way did not go on in the last seconds, as far as it had begun."""
        state = self.state
        if state.pending is None:
            return
        went_on_s = state.now_s - (state.pending["at_s"] - self._options.train_seconds)
        seconds = max(0.0, min(seconds, went_on_s))
        state.pending["at_s"] += seconds
        state.rested_s += seconds

    def _land(self, done: Pending) -> None:
        state = self.state
        state.pending = None
        state.busy_s += self._options.train_seconds
        names = ("num_images", "mean_iou", "old_mean_iou", "reason", "holdout", "metrics")
        row = {"number": done.number, "at_s": done.at_s, "adopted": done.adopted, "images_done": len(state.images)}
        state.versions.append(row | {name: done.record.get(name) for name in names})
        if done.adopted:
            state.current = done.number
            self._desk.use(done.number, done.record)
            self._person.see_another_version()
        word = "adopted" if done.adopted else "not adopted"
        _tell(f"{done.at_s:6.0f} s  version {done.number} {word}: {done.record.get('reason')}")

    def _train_if_due(self, at_s: float) -> None:
        state, options = self.state, self._options
        seconds = options.train_seconds
        if len(state.images) - state.num_trained < options.every or at_s + seconds > self._end_s:
            return
        steps = max(1, round(options.steps_per_second * TRAINING_SHARE * seconds))
        arguments = {"seconds": None, "steps": steps, "mode": "quick", "seed": options.seed, "device": options.device}
        try:
            done = self._desk.fine_tune(at_s, seconds, arguments | {"num_threads": options.threads})
        except TrainingError as error:
            _tell(f"{at_s:6.0f} s  no fine-tune: {error.title}")
            return
        state.num_trained = len(state.images)
        state.pending = dataclasses.asdict(done)
        state.stored = done.number if done.adopted else state.stored


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.ERROR)
    dataset = open_dataset(options.data)
    work = options.work or Path(tempfile.mkdtemp(prefix="label-economy-"))
    work.mkdir(parents=True, exist_ok=True)
    scores = Scores(work / "scores.jsonl", _tell)
    for mode in ("quick", "full"):
        name = f"steps_per_second_{mode}"
        if options.steps_per_second is None and scores.get(name) is None and (mode == "quick" or not options.full_miou):
            scores.put(name, measured_speed(dataset, options, mode))
    full_speed = options.steps_per_second or scores.get("steps_per_second_full")
    options.steps_per_second = options.steps_per_second or scores.get("steps_per_second_quick")
    project, state = simulate(dataset, options, work)
    result = report(dataset, options, project, state, scores, full_speed)
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def simulate(dataset: Dataset, options: argparse.Namespace, work: Path) -> tuple[Project, State]:
    """Let the person work, or go on with it."""
    from pspnet_core.training.versions import VersionStore

    path, root = work / "state.json", work / "project"
    if path.is_file():
        state, project = State(**json.loads(path.read_text())), Project.open(root)
    else:
        state, project = State(), make_project(root, dataset)
    store = VersionStore(project.folder / "versions")
    store.set_current(state.stored)
    known = {row["number"] for row in state.versions} | ({state.pending["number"]} if state.pending else set())
    for version in store.list():
        if version.number not in known:  # of the image at which the run was broken off
            store.remove(version.number)
    desk = Desk(project, dataset, options.first)
    person = Annotator(Habits(max_strokes=options.strokes, small_error=options.stop), options.seed)
    if state.hand is not None:
        person.restore(state.hand)
    if state.current is not None:
        desk.use(state.current, next(row for row in state.versions if row["number"] == state.current))
    for row in Economy(desk, person, options, state).run():
        write_json(path, dataclasses.asdict(state))
        _tell(
            f"{state.now_s:6.0f} s  {len(state.images)} images; {row['key']}: {row['strokes']} strokes, wrong"
            f" {row['wrong_before']:.3f} -> {row['wrong_after']:.3f}, painted {row['painted']:.3f}"
        )
    write_json(path, dataclasses.asdict(state))
    return project, state


def report(
    dataset: Dataset,
    options: argparse.Namespace,
    project: Project,
    state: State,
    scores: Scores,
    full_speed: float | None,
) -> dict[str, Any]:
    """Score what came out of the work."""
    from pspnet_core.training.versions import VersionStore

    store = VersionStore(project.folder / "versions")
    curve = []
    for row in state.versions:
        name = f"version_{row['number']}"
        if scores.get(name) is None:
            scores.put(name, score(store.load(row["number"]), dataset, options.device))
        if row["adopted"]:
            curve.append([round(row["at_s"]), scores.get(name)])
    full = options.full_miou or scores.get("full")
    if full is None:
        assert full_speed is not None
        full = scores.put("full", full_miou(dataset, options, full_speed))
    forest_curve = _forest_curve(dataset, options, project, state, scores)
    ran_s = state.ran_s(options.train_seconds)
    return {
        "data": options.data.resolve().name,
        "minutes": options.minutes,
        "curve": curve,
        "forest_curve": forest_curve,
        "full_miou": full,
        "minutes_to_90": minutes_to(curve, 0.9 * full),
        "images_corrected": len(state.images),
        "share_of_images": round(len(state.images) / len(dataset.items[Split.TRAIN]), 4),
        "strokes": sum(row["strokes"] for row in state.images),
        "versions": len(state.versions),
        "candidates": [[round(row["at_s"]), scores.get(f"version_{row['number']}")] for row in state.versions],
        "wrong_after": round(statistics.mean(row["wrong_after"] for row in state.images), 4) if state.images else None,
        "training_share_of_time": round(ran_s / max(state.now_s, 1.0), 3),
        "rested_share": round(state.rested_s / max(state.rested_s + ran_s, 1.0), 3),
        "steps_per_second": round(options.steps_per_second, 3),
        "seed": options.seed,
        "load1": round(os.getloadavg()[0], 2),
    }


def _forest_curve(
    dataset: Dataset, options: argparse.Namespace, project: Project, state: State, scores: Scores
) -> list[list[float]]:
    ends = [(row["closed_s"], [r["key"] for r in state.images[: n + 1]]) for n, row in enumerate(state.images)]
    chosen = evenly_spaced(ends[::-1], options.forest_points)[::-1] if ends and options.forest_points else []
    missing = [moment for moment in chosen if scores.get(f"forest_{moment[0]}") is None]
    if missing:
        for at_s, value in forest_scores(project, dataset, missing, options.seed):
            scores.put(f"forest_{at_s}", value)
    return [[round(at_s), scores.get(f"forest_{at_s}")] for at_s, _ in chosen]


def minutes_to(curve: Sequence[Sequence[float]], wanted: float) -> float | None:
    """When a curve of [seconds, value] first reaches a value, in minutes."""
    return next((round(seconds / 60, 2) for seconds, value in curve if value >= wanted), None)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--work", type=Path, help="keep the project and what is finished here, and go on from there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps-per-second", type=float)
    parser.add_argument("--fit-seconds", type=float, help="from the end of a stroke to its answer; else measured")
    parser.add_argument("--look-seconds", type=float, help="of the networks at an image that is opened; else measured")
    parser.add_argument("--full-miou", type=float)
    parser.add_argument("--train-seconds", type=float, default=60.0)
    parser.add_argument("--every", type=int, default=1, help="images after which it is trained again")
    parser.add_argument("--first", choices=["default", "queue"], default="default")
    parser.add_argument(
        "--doubt",
        choices=["idle", "always", "never"],
        default="idle",
        help="when the queue asks a new version how sure it is; the program does while nothing is trained",
    )
    parser.add_argument("--strokes", type=int, default=Habits().max_strokes, help="for one image, at most")
    parser.add_argument("--stop", type=float, default=Habits().small_error, help="share of visible errors let pass")
    parser.add_argument("--forest-points", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
