"""The overlay's source: first answer, parts, neighbours, what is kept; real lanes, a network with random weights."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

torch = pytest.importorskip("torch")

from pspnet_core.devices import numerics_for  # noqa: E402
from pspnet_core.errors import ImageReadError  # noqa: E402
from pspnet_core.imaging.opening import OpenStep  # noqa: E402
from pspnet_core.imaging.source import ArraySource  # noqa: E402
from pspnet_core.inference import Predictor, engines  # noqa: E402
from pspnet_core.models import PSPNet, PSPNetConfig  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from pspnet_core.project.project import Project  # noqa: E402
from pspnet_core.types import Prediction, Rect  # noqa: E402
from pspnet_studio.jobs import opening  # noqa: E402
from pspnet_studio.jobs.prediction import Coarse, PartWritten, PredictionEngine, Request  # noqa: E402
from pspnet_studio.jobs.runner import JobRunner  # noqa: E402
from pspnet_studio.model import predictions  # noqa: E402
from pspnet_studio.model.predictions import Predictions  # noqa: E402
from pspnet_studio.model.session import Session  # noqa: E402
from pspnet_studio.model.tool_state import ToolState  # noqa: E402

SIZE = (700, 1100)


class Training(QObject):
    """One version."""

    current_changed = Signal()

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.current_version: int | None = 1
        self._path = path

    def checkpoint_path(self, number: int) -> Path:
        return self._path


class CountingEngine(PredictionEngine):
    """Remembers what it was asked and what it answered."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.requests: list[Request] = []
        self.events: list[Any] = []
        self.windows = 0

    def predict(self, request: Request) -> Iterator[Any]:
        self.requests.append(request)
        for event in super().predict(request):
            self.events.append(event)
            self.windows += type(event).__name__ == "WindowDone"
            yield event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        small = rng.integers(0, 256, (7, 11, 3), np.uint8)
        Image.fromarray(small).resize(SIZE[::-1]).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def checkpoint(folder: Path, tmp_path: Path) -> Path:
    project = Project.open(folder)
    project.add_class("sky")
    project.add_class("land")
    project.save()
    torch.manual_seed(0)
    model = PSPNet(PSPNetConfig.studio_fast(len(project.classes)))
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(Checkpoint(model.eval(), project.classes), path)
    return path


class Rig:
    """Session and predictions, wired."""

    def __init__(self, checkpoint: Path, cache: Path) -> None:
        self.runner = JobRunner()
        self.session = Session(self.runner, ToolState())
        self.engine = CountingEngine()
        self.training = Training(checkpoint)
        self.predictions = Predictions(self.session, self.training, self.engine, cache=cache)  # type: ignore[arg-type]
        self.ready: list[str] = []
        self.predictions.base_ready.connect(lambda: self.ready.append(str(self.session.current_key)))

    def open(self, qtbot: QtBot, folder: Path) -> None:
        self.session.open_folder(folder)
        qtbot.waitUntil(lambda: bool(self.ready), timeout=60_000)


@pytest.fixture
def rigs(checkpoint: Path, tmp_path: Path) -> Iterator[list[Rig]]:
    made = [Rig(checkpoint, tmp_path / "cache") for _ in range(2)]
    yield made
    for rig in made:
        assert rig.runner.shutdown(30)


def test_a_first_answer_then_parts_then_the_fine_one(
    qtbot: QtBot, rigs: list[Rig], folder: Path, checkpoint: Path
) -> None:
    rig = rigs[0]
    shown: list[Any] = []
    rects: list[Rect] = []

    def watch() -> None:
        document = rig.session.document
        if document is not None:
            document.region_changed.connect(rects.append)
            document.region_changed.connect(lambda _: shown.append(document.prediction))

    rig.session.document_changed.connect(watch)
    rig.open(qtbot, folder)
    kinds = [kind for kind, _ in itertools.groupby(type(event) for event in rig.engine.events)]
    assert kinds[1] is Coarse
    assert PartWritten in kinds
    document = rig.session.document
    assert document is not None
    assert shown[0] is shown[-1] is document.prediction  # the same planes all along
    assert {rect.w * rect.h < SIZE[0] * SIZE[1] for rect in rects} == {True, False}
    expected = Predictor(load_checkpoint(checkpoint), "cpu").predict(document.image)
    np.testing.assert_array_equal(document.prediction.class_map, expected.class_map)
    assert rig.predictions.state == "ready"
    logits = rig.predictions.logits_of("0.png")
    assert logits is not None
    assert (logits.height, logits.width) == SIZE


def test_the_first_answer_is_near_the_fine_one(qtbot: QtBot, rigs: list[Rig], folder: Path) -> None:
    rig = rigs[0]
    engine = rig.engine
    with Image.open(folder / "0.png") as picture:
        image = np.asarray(picture)
    coarse = next(
        event
        for event in engine.predict(Request(rig.training.checkpoint_path(1), *SIZE, preview=image))
        if isinstance(event, Coarse)
    ).prediction
    assert coarse.class_map.shape == coarse.confidence.shape == SIZE
    fine = Predictor(load_checkpoint(rig.training.checkpoint_path(1)), "cpu").predict(image)
    assert (coarse.class_map == fine.class_map).mean() > 0.8


@pytest.mark.parametrize(("size", "longest"), [((400, 700), 512), ((1000, 1500), 750), ((3000, 4000), 960)])
def test_the_first_answer_comes_from_half_of_the_image_within_bounds(
    rigs: list[Rig], monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], longest: int
) -> None:
    seen: list[tuple[int, ...]] = []
    predict_whole = Predictor.predict_whole

    def watched(predictor: Predictor, image: Any) -> Prediction:
        seen.append(image.shape[:2])
        return predict_whole(predictor, image)

    monkeypatch.setattr(Predictor, "predict_whole", watched)
    preview = np.random.default_rng(0).integers(0, 256, (size[0] * 1000 // size[1], 1000, 3), dtype=np.uint8)
    rig = rigs[0]
    events = list(rig.engine.predict(Request(rig.training.checkpoint_path(1), *size, preview=preview)))
    assert max(seen[-1]) == longest
    found = next(event for event in events if isinstance(event, Coarse)).prediction
    assert found.class_map.shape == size
    assert found.cell_px == 1  # finer parts are written into it


def test_what_an_earlier_measurement_found_computes_in_the_window(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    class Fast(engines.TorchEngine):
        def __call__(self, x: Any) -> Any:
            used.append("fast")
            return super().__call__(x)

    def remembered(model: Any, device: Any) -> engines.Engine:
        return Fast(model, numerics_for(device))

    monkeypatch.setattr(engines, "remembered_engine", remembered)
    preview = np.zeros((60, 90, 3), np.uint8)
    events = list(PredictionEngine("cpu").predict(Request(checkpoint, 60, 90, preview=preview)))
    assert isinstance(events[-1], Coarse)
    assert used


def test_neighbours_are_predicted_ahead(qtbot: QtBot, rigs: list[Rig], folder: Path) -> None:
    rig = rigs[0]
    rig.open(qtbot, folder)
    qtbot.waitUntil(lambda: rig.predictions.base_of("1.png") is not None, timeout=60_000)
    rig.session.go_to("1.png")
    qtbot.waitUntil(lambda: rig.ready[-1] == "1.png", timeout=60_000)
    document = rig.session.document
    assert document is not None
    assert document.prediction is rig.predictions.base_of("1.png")
    qtbot.waitUntil(lambda: rig.predictions.base_of("2.png") is not None, timeout=60_000)
    assert [request.image_path for request in rig.engine.requests] == [folder / f"{number}.png" for number in range(3)]


def test_each_neighbour_is_asked_for_once(
    qtbot: QtBot, rigs: list[Rig], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they cannot all be kept."""
    monkeypatch.setattr(predictions, "_CACHE_BYTES", 100_000)
    rig = rigs[0]
    rig.session.open_folder(folder)
    qtbot.waitUntil(lambda: rig.session.document is not None, timeout=60_000)
    rig.session.go_to("1.png")
    qtbot.waitUntil(lambda: bool(rig.ready) and rig.ready[-1] == "1.png", timeout=60_000)

    def asked_after() -> list[str]:
        names = [request.image_path.name for request in rig.engine.requests if request.image_path is not None]
        return names[len(names) - names[::-1].index("1.png") :]

    qtbot.waitUntil(lambda: asked_after()[:2] == ["2.png", "0.png"], timeout=60_000)
    for _ in range(3):  # whoever asks again
        qtbot.waitUntil(lambda: rig.predictions._ahead is None, timeout=60_000)
        rig.session.neighbours.finished.emit()
    assert rig.predictions._ahead is None
    assert asked_after() == ["2.png", "0.png"]
    assert rig.predictions.base_of("1.png") is not None


def test_a_file_that_was_written_again_is_predicted_again(qtbot: QtBot, rigs: list[Rig], folder: Path) -> None:
    rig = rigs[0]
    rig.open(qtbot, folder)
    for size in (SIZE, (300, 400)):
        rig.session.go_to("1.png")
        qtbot.waitUntil(lambda: rig.ready[-1] == "1.png", timeout=60_000)
        old = rig.predictions.base_of("0.png")
        Image.fromarray(np.full((*size, 3), 200, np.uint8)).save(folder / "0.png")
        assert old is not None
        assert rig.predictions.base_of("0.png") is None
        rig.ready.clear()
        rig.session.go_to("0.png")
        qtbot.waitUntil(lambda: rig.ready[-1:] == ["0.png"], timeout=60_000)
        document = rig.session.document
        assert document is not None
        assert document.shape == size
        assert document.prediction is not None
        assert document.prediction is rig.predictions.base_of("0.png")
        expected = Predictor(load_checkpoint(rig.training.checkpoint_path(1)), "cpu").predict(document.image)
        np.testing.assert_array_equal(document.prediction.class_map, expected.class_map)


class SlowFile:
    """Opens with a reduced picture, and waits before it can be read or cannot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.is_broken = True
        monkeypatch.setattr(opening, "open_steps", self._steps)

    def _steps(self, path: Path, page: int) -> Iterator[OpenStep]:
        image = np.zeros((*SIZE, 3), np.uint8)
        yield OpenStep(SIZE[1], SIZE[0], image[::2, ::2], None)
        assert self.go_on.wait(60)
        if self.is_broken:
            raise ImageReadError("It cannot be read.", "", "")
        yield OpenStep(SIZE[1], SIZE[0], None, ArraySource(image))


@pytest.mark.parametrize("is_answered", [False, True])
def test_an_image_that_cannot_be_read_is_not_waited_for(
    qtbot: QtBot, rigs: list[Rig], folder: Path, monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    rig, file = rigs[0], SlowFile(monkeypatch)
    if not is_answered:
        rig.training.current_version = None
    rig.session.open_folder(folder)
    qtbot.waitUntil(lambda: rig.session.document is not None, timeout=60_000)
    document = rig.session.document
    assert document is not None
    assert document.fill_unlabelled(0)  # what is painted on keeps what there is of the image
    if is_answered:
        qtbot.waitUntil(lambda: document.prediction is not None, timeout=60_000)
    file.go_on.set()
    qtbot.waitUntil(lambda: not rig.session.is_loading, timeout=60_000)
    rig.training.current_version = 1
    rig.training.current_changed.emit()
    qtbot.waitUntil(lambda: rig.predictions.state == "failed", timeout=60_000)
    assert rig.session.document is document
    assert not rig.ready


def test_an_image_that_comes_is_looked_at_once(
    qtbot: QtBot, rigs: list[Rig], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, file = rigs[0], SlowFile(monkeypatch)
    file.is_broken = False
    rig.session.open_folder(folder)
    qtbot.waitUntil(lambda: rig.session.document is not None and rig.session.document.prediction is not None)
    for _ in range(3):
        rig.session.document_changed.emit()
    before = len(rig.engine.requests)
    document = rig.session.document
    assert document is not None
    calls: list[None] = []
    monkeypatch.setattr(rig.predictions, "_start", lambda *_: calls.append(None))
    document.pixels.loaded.emit()
    assert len(calls) == 1
    assert len(rig.engine.requests) - before <= 1
    monkeypatch.undo()
    file.go_on.set()


def test_logits_come_back_from_the_disk(qtbot: QtBot, rigs: list[Rig], folder: Path, tmp_path: Path) -> None:
    first, second = rigs
    first.open(qtbot, folder)
    qtbot.waitUntil(lambda: bool(list((tmp_path / "cache").rglob("*.logits"))), timeout=60_000)
    second.open(qtbot, folder)
    assert second.engine.windows == 0
    a, b = first.predictions.base_of("0.png"), second.predictions.base_of("0.png")
    assert a is not None
    assert b is not None
    assert (a.class_map == b.class_map).mean() > 0.999  # kept as float16


def test_parts_do_not_lie_over_what_follows_the_hand(
    qtbot: QtBot, rigs: list[Rig], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rigs[0]
    late: list[Any] = []

    def put_another() -> None:
        document = rig.session.document
        if document is not None and document.prediction is not None and not late and not rig.ready:
            other = type(document.prediction)(
                document.prediction.class_map.copy(), document.prediction.confidence.copy()
            )
            late.append(other)
            document.set_prediction(other, 1)
            document.region_changed.connect(lambda rect: seen.append((rect, document.prediction)))

    seen: list[Any] = []
    rig.session.document_changed.connect(
        lambda: rig.session.document and rig.session.document.region_changed.connect(lambda _: put_another())
    )
    rig.open(qtbot, folder)
    assert late
    assert any(isinstance(event, PartWritten) for event in rig.engine.events)  # which nobody is told of
    assert [rect for rect, _ in seen] == [Rect(0, 0, SIZE[1], SIZE[0])]  # the fine one, when it is complete
    assert seen[0][1] is rig.predictions.base_of("0.png")


def test_what_is_seen_is_asked_for_first(qtbot: QtBot, rigs: list[Rig], folder: Path) -> None:
    rig = rigs[0]
    wanted = Rect(900, 500, 50, 50)
    rig.predictions.look_through(lambda: wanted)
    rig.open(qtbot, folder)
    seen, windows = np.zeros(SIZE, bool), 0
    for event in rig.engine.events:
        windows += type(event).__name__ == "WindowDone"
        if isinstance(event, PartWritten):
            seen[event.rect.slices] = True
            if seen[wanted.slices].all():
                break
    assert seen[wanted.slices].all()
    assert windows == 2  # of six, those that see it
    assert not seen[:, :600].any()
