"""The composition root: every object is made and wired here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QSettings, Qt, QTimer
from PySide6.QtWidgets import QApplication

from pspnet_core import __version__
from pspnet_studio import assets, overrides, qt_environment, theme
from pspnet_studio.collector import Collector
from pspnet_studio.jobs.live import FeatureEngine
from pspnet_studio.jobs.prediction import PredictionEngine
from pspnet_studio.jobs.queueing import QueueEngine
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.jobs.warmup import device_name, prepare_torch
from pspnet_studio.messages import tr
from pspnet_studio.model.continuous import Continuous
from pspnet_studio.model.inhibitor import SleepInhibitor
from pspnet_studio.model.learning import Learning
from pspnet_studio.model.live import Live
from pspnet_studio.model.predictions import Predictions
from pspnet_studio.model.queue import Queue
from pspnet_studio.model.review import Reviews
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.training import Training
from pspnet_studio.model.version_comparison import VersionComparison
from pspnet_studio.settings import Settings
from pspnet_studio.windows.main_window import MainWindow

_SWITCH_INTERVAL_S = 0.001
_TORCH_DELAY_MS = 50  # the window answers its first events before the import takes the interpreter


@dataclass(slots=True)
class Studio:
    """The wired program; keeps its objects alive."""

    application: QApplication
    runner: JobRunner
    session: Session
    training: Training
    predictions: Predictions
    live: Live
    queue: Queue
    learning: Learning
    tool_state: ToolState
    settings: Settings
    window: MainWindow
    first_paint: FirstPaint
    collector: Collector


class FirstPaint(QObject):
    """Starts the import of torch right after the window was painted for the first time."""

    def __init__(self, window: MainWindow, runner: JobRunner, device: str) -> None:
        super().__init__(window)
        self._window, self._runner, self._device = window, runner, device
        self.is_done = False
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self.is_done:
            self.is_done = True
            watched.removeEventFilter(self)
            QTimer.singleShot(_TORCH_DELAY_MS, self._start_torch)
        return False

    def _start_torch(self) -> None:
        self._runner.call(
            Lane.TORCH,
            lambda: device_name(self._device),
            name=tr("starting the network"),
            priority=Priority.VISIBLE,
            on_done=self._window.status_line.set_device,
            on_error=self._window.message_bar.show_message,
        )


def make_application(arguments: Sequence[str]) -> QApplication:
    """The QApplication, or the one that exists (tests)."""
    # A worker that runs Python code gives the interpreter back to the window after 1 ms instead of 5.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    qt_environment.repair()
    QCoreApplication.setApplicationName("pspnet-studio")
    QCoreApplication.setApplicationVersion(__version__)
    QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    application = QApplication(list(arguments))
    application.setApplicationDisplayName("PSPNet Studio")
    application.setDesktopFileName("pspnet-studio")
    application.setWindowIcon(assets.app_icon())
    return application


def bootstrap(
    arguments: Sequence[str] = ("pspnet-studio",),
    *,
    settings_store: QSettings | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Studio:
    """Make and wire everything; the window is not shown yet and torch is not imported.

    Args:
        arguments: Command line for Qt.
        settings_store: Where settings lie; the user's own place when not given.
        device: ``auto``, ``cpu``, ``cuda[:N]`` or ``mps``.
        seed: Of every fine-tune.
    """
    overrides.install()
    application = make_application(arguments)
    settings = Settings(settings_store)
    theme.apply(application, settings.theme)
    collector = Collector()
    runner = JobRunner(prepare_torch)
    tool_state = ToolState()
    session = Session(runner, tool_state)
    training = Training(session, device, seed)
    engine = PredictionEngine(device)
    predictions = Predictions(session, training, engine)
    live = Live(session, predictions, FeatureEngine(), settings.has_live_refine)
    queue = Queue(session, training, QueueEngine(engine, device), settings.has_suggestions)
    learning = _make_learning(session, training, predictions, device)
    window = MainWindow(session, training, predictions, live, queue, tool_state, settings, learning)
    predictions.look_through(lambda: window.canvas.viewport.image_rect())
    inhibitor = SleepInhibitor(window)
    training.started.connect(inhibitor.hold)
    training.ended.connect(inhibitor.release)
    application.commitDataRequest.connect(window.on_commit_data_request, Qt.ConnectionType.DirectConnection)
    return Studio(
        application,
        runner,
        session,
        training,
        predictions,
        live,
        queue,
        learning,
        tool_state,
        settings,
        window,
        FirstPaint(window, runner, device),
        collector,
    )


def _make_learning(session: Session, training: Training, predictions: Predictions, device: str) -> Learning:
    """What stands around fine-tuning; versions are compared by an engine of their own."""
    return Learning(
        Continuous(session, training),
        Reviews(session, training, predictions),
        VersionComparison(session, training, PredictionEngine(device)),
    )
