"""What the tour does, step by step."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit, QPushButton, QWidget

from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.tool_state import MAX_DIAMETER, MIN_DIAMETER
from pspnet_studio.tour.data import TourData
from pspnet_studio.tour.driver import (
    Do,
    Script,
    Step,
    TourError,
    Wait,
    click,
    clicks,
    drop,
    in_background,
    press,
    type_text,
)
from pspnet_studio.tour.driver import stroke as draw
from pspnet_studio.tour.plan import Gesture, plan_gestures

COVERAGE = 0.95
_FIRST_SHARE = 0.2
_MIN_PX = 100
_MAX_ROUNDS = 4
_CONTROL = Qt.KeyboardModifier.ControlModifier


@dataclass(slots=True)
class Tally:
    """What the tour counts."""

    strokes: int = 0
    train_seconds: float = 0.0
    labelled_share: list[float] = field(default_factory=list)
    first_agreement: list[float] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)


class TourScript:
    """The whole job on one data set.

    Args:
        studio: The wired program, its window shown.
        data: The copy to work on.
        seconds: Time for fine-tuning, both times together.
        out: Where pictures and masks go.
    """

    def __init__(self, studio: Studio, data: TourData, seconds: float, out: Path) -> None:
        self._studio, self._data, self._seconds, self._out = studio, data, seconds, out
        self._window, self._canvas, self._session = studio.window, studio.window.canvas, studio.session
        self._stage_begin_s = time.monotonic()
        self.tally = Tally()
        self.stage_ends: list[tuple[str, float]] = []
        """Name of each stage and when it ended (``perf_counter``)."""

    def run(self) -> Script:
        """All stages."""
        first, *rest = self._data.label_keys
        yield Wait(lambda: self._studio.runner.torch_import_s is not None, 120, "torch to be imported")
        yield from self._stage("start")
        yield from drop(self._window, [self._data.root])
        yield Wait(lambda: self._session.document is not None, 60, "the dropped folder to open")
        yield from self._settle(0.4)
        yield from self._stage("folder-dropped")
        yield from self._name_classes()
        yield from self._open(first)
        yield from self._stage("classes-named")
        yield from self._correct(first, accept=False)
        yield from self._stage("first-image-painted")
        yield from press(self._window, Qt.Key.Key_D, _CONTROL)
        yield from self._fine_tune(self._seconds * (_FIRST_SHARE if rest else 1.0), rest[:2], "first-fine-tune")
        for number, key in enumerate(rest):
            yield from self._open(key)
            yield from self._wait_for_prediction()
            if number == 0:
                yield from self._stage("second-image-predicted")
            yield from self._correct(key, accept=True)
            yield from press(self._window, Qt.Key.Key_D, _CONTROL)
            if number == 0:
                yield from self._stage("second-image-corrected")
        if rest:
            yield from self._stage("all-images-corrected")
            yield from self._fine_tune(self._seconds * (1 - _FIRST_SHARE), self._data.test_keys[:6], "second-fine-tune")
        yield from self._open(self._data.test_keys[0])
        yield from self._wait_for_prediction()
        yield from self._settle(0.3)
        yield from self._stage("new-image-predicted")
        yield from self._export()
        yield from self._stage("masks-exported")

    # --- stages

    def _name_classes(self) -> Script:
        edit = self._window.classes_panel.findChild(QLineEdit)
        assert edit is not None
        for name in self._data.names:
            yield from click(edit)
            yield from type_text(edit, name)
            yield from press(edit, Qt.Key.Key_Return)
            yield Wait(lambda name=name: self._has_class(name), 5, f"class {name}")

    def _has_class(self, name: str) -> bool:
        assert self._session.project is not None
        return name in self._session.project.classes.names

    def _open(self, key: str) -> Script:
        """Go to an item with the keys for next and previous."""
        assert self._session.project is not None
        keys = [item.key for item in self._session.project.items]
        while self._session.current_key != key:
            current = self._session.current_key
            ahead = keys.index(key) > keys.index(current) if current in keys else True
            yield from press(self._canvas, Qt.Key.Key_D if ahead else Qt.Key.Key_A)
            yield Wait(lambda current=current: self._session.current_key != current, 5, "the next image's turn")
        yield Wait(lambda: self._is_open(key), 60, f"{key} to open")
        yield from press(self._canvas, Qt.Key.Key_F)
        yield from self._settle(0.1)

    def _is_open(self, key: str) -> bool:
        document = self._session.document
        return document is not None and document.item_key == key and not self._session.is_loading

    def _wait_for_prediction(self) -> Script:
        yield Wait(lambda: self._studio.predictions.state in ("ready", "no_version"), 120, "the prediction")

    def _correct(self, key: str, accept: bool) -> Script:
        """Accept the prediction, then mend what is wrong until nothing large is."""
        document = self._session.document
        assert document is not None
        runner = self._studio.runner
        truth = yield from in_background(runner, Lane.IO, lambda: self._data.truth(key))
        known = truth != UNLABELLED
        if accept and document.prediction is not None:
            predicted = document.prediction.class_map
            self.tally.first_agreement.append(float((predicted == truth)[known].mean()))
            yield from press(self._canvas, Qt.Key.Key_Return, _CONTROL | Qt.KeyboardModifier.ShiftModifier)
            yield Wait(lambda: document.revision > 0, 10, "the prediction to be accepted")
        zoom = self._canvas.zoom
        for _ in range(_MAX_ROUNDS):
            shown = document.class_plane.to_array()
            gestures: list[Gesture] = yield from in_background(
                runner, Lane.IO, lambda shown=shown: plan_gestures(shown, truth, zoom, _MIN_PX)
            )
            for gesture in gestures:
                yield from self._do(gesture)
            if not gestures:
                break
        labelled = document.class_plane.to_array() != UNLABELLED
        share = float(labelled[known].mean())
        self.tally.labelled_share.append(share)
        if share < COVERAGE:
            raise TourError(f"Only {share:.1%} of {key} is labelled, expected {COVERAGE:.0%}.")

    def _do(self, gesture: Gesture) -> Script:
        tools = self._studio.tool_state
        if tools.class_id != gesture.class_id:
            if gesture.class_id < 10:
                yield from press(self._canvas, Qt.Key(Qt.Key.Key_0 + (gesture.class_id + 1) % 10))
            else:
                tools.set_class_id(gesture.class_id)
            yield Wait(lambda: tools.class_id == gesture.class_id, 5, f"class {gesture.class_id}")
        if tools.tool != gesture.tool:
            yield from press(self._canvas, Qt.Key.Key_P if gesture.tool == "polygon" else Qt.Key.Key_B)
            yield Wait(lambda: tools.tool == gesture.tool, 5, f"the {gesture.tool}")
        points = [self._canvas.event_position(float(x), float(y)) for x, y in gesture.points]
        self.tally.strokes += 1
        if gesture.tool == "polygon":
            yield from clicks(self._canvas, points)
            yield from press(self._canvas, Qt.Key.Key_Return)
        else:
            yield from self._set_diameter(gesture.diameter)
            yield from draw(self._canvas, points)

    def _set_diameter(self, diameter: int) -> Script:
        """Type it into the box of the tool bar."""
        diameter = min(MAX_DIAMETER, max(MIN_DIAMETER, diameter))
        tools, box = self._studio.tool_state, self._window.tool_options.diameter_box
        if tools.diameter == diameter:
            return
        yield from click(box.lineEdit())
        yield from press(box, Qt.Key.Key_A, _CONTROL)
        yield from type_text(box, str(diameter))
        yield from press(box, Qt.Key.Key_Return)
        yield Wait(lambda: tools.diameter == diameter, 5, f"a brush of {diameter} px")

    def _fine_tune(self, seconds: float, meanwhile: tuple[str, ...] | list[str], stage: str) -> Script:
        """Click the button; look at and paint on other images until it ends."""
        training, panel = self._studio.training, self._window.training_panel
        ends: list[Any] = []
        training.ended.connect(ends.append)
        panel.set_seconds(round(seconds))
        begin_s = time.monotonic()
        yield from click(panel.start_button)
        yield Wait(lambda: training.is_running or bool(ends), 10, "fine-tuning to begin")
        yield from self._settle(min(8.0, seconds / 3))
        yield from self._stage(stage)
        others = list(meanwhile)
        while not ends and time.monotonic() - begin_s < 3 * seconds + 300:
            if others and time.monotonic() - begin_s < 0.7 * seconds:
                yield from self._try_out(others[0])
                others.append(others.pop(0))
            else:
                yield from self._settle(0.2)
        training.ended.disconnect(ends.append)
        if not ends:
            raise TourError("Fine-tuning did not end.", f"It was given {seconds:.0f} s.")
        outcome = ends[0]
        if not hasattr(outcome, "adopted"):
            raise outcome if isinstance(outcome, Exception) else TourError("Fine-tuning was cancelled.")
        self.tally.train_seconds += time.monotonic() - begin_s
        self.tally.outcomes.append(
            {
                "version": outcome.version.number,
                "adopted": outcome.adopted,
                "mean_iou": outcome.mean_iou,
                "reason": outcome.reason,
            }
        )
        yield from self._settle(0.5)

    def _try_out(self, key: str) -> Script:
        """Paint a few strokes on another image while training goes on, and take them back."""
        yield from self._open(key)
        yield from self._wait_for_prediction()
        tools = self._studio.tool_state
        yield from press(self._canvas, Qt.Key.Key_B)
        yield Wait(lambda: tools.tool == "brush", 5, "the brush")
        document = self._session.document
        assert document is not None
        rect = document.rect
        yield from self._set_diameter(max(4, rect.w // 30))
        for row in (0.3, 0.5, 0.7):
            yield from draw(self._canvas, self._wave(rect, row))
        for _ in range(3):
            yield from press(self._canvas, Qt.Key.Key_Z, _CONTROL)
        yield Wait(lambda: not document.history.can_undo, 5, "the strokes to be taken back")
        yield from self._settle(1.0)

    def _wave(self, rect: Rect, row: float) -> list[QPointF]:
        xs = np.linspace(0.1, 0.9, 60)
        return [
            self._canvas.event_position(float(x * rect.w), float((row + 0.05 * np.sin(20 * x)) * rect.h)) for x in xs
        ]

    def _export(self) -> Script:
        yield from press(self._window, Qt.Key.Key_E, _CONTROL)
        yield Wait(lambda: isinstance(QApplication.activeModalWidget(), QDialog), 10, "the export dialog")
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QDialog)
        edit = next(e for e in dialog.findChildren(QLineEdit) if e.isVisible())
        folder = self._out / "masks"
        yield Do(edit.selectAll)
        yield from type_text(edit, str(folder))
        yield from click(_button(dialog, "Export"))
        yield Wait(lambda: bool(self._window.message_bar.text), 120, "the export to end")
        if not any(folder.rglob("*.png")):
            raise TourError(f"No mask was written to {folder}.", self._window.message_bar.text)

    # --- pictures and scores

    def _stage(self, name: str) -> Script:
        path = self._out / f"{len(self.tally.stages) + 1:02d}-{name}.png"
        image = self._window.grab().toImage()
        self._studio.runner.call(
            Lane.IO, lambda: image.save(str(path)), name=tr("writing a picture"), priority=Priority.PREFETCH
        )
        now_s = time.monotonic()
        self.tally.stages.append(
            {"name": name, "seconds": round(now_s - self._stage_begin_s, 1), "screenshot": path.name}
        )
        self._stage_begin_s = now_s
        self.stage_ends.append((name, time.perf_counter()))
        yield None

    def _settle(self, seconds: float) -> Script:
        end_s = time.monotonic() + seconds
        yield Wait(lambda: time.monotonic() >= end_s, seconds + 5, "a moment")


def _button(parent: QWidget, text: str) -> QPushButton:
    return next(b for b in parent.findChildren(QPushButton) if b.text() == text)


def score(studio: Studio, data: TourData, device: str) -> Generator[Step, None, float]:
    """mIoU of the current version on the test items, computed in the torch lane."""
    number = studio.training.current_version
    if number is None:
        raise TourError("No version was adopted.")
    path = studio.training.checkpoint_path(number)

    def compute() -> Iterator[Any]:
        from pspnet_core.imaging.read import read_image
        from pspnet_core.inference.predictor import Predicted, Predictor
        from pspnet_core.metrics import ConfusionMatrix
        from pspnet_core.models.checkpoint import load_checkpoint

        predictor = Predictor(load_checkpoint(path), device=device)
        matrix = ConfusionMatrix(tuple(range(len(data.names))))
        for key in data.test_keys:
            events = predictor.predict_windows(read_image(data.root / key))
            for event in events:
                if isinstance(event, Predicted):
                    matrix.update(data.truth(key), event.prediction.class_map)
                yield None
        yield float(matrix.mean_iou)

    box: list[Any] = []
    failed: list[BaseException] = []
    studio.runner.submit(
        Lane.TORCH, compute, name=tr("scoring"), priority=Priority.VISIBLE, on_done=box.append, on_error=failed.append
    )
    yield Wait(lambda: bool(box or failed), 900, "the score on the test images")
    if failed:
        raise failed[0]
    return float(box[0])
