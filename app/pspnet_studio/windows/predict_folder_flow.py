"""From the question which images, to their class maps, and what to tell about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.inference.folder import ImageFailed, ImagePredicted, WindowProgress
from pspnet_studio.dialogs.predict_folder import PredictFolderDialog
from pspnet_studio.jobs.folder_prediction import FolderRequest, FolderWork, look_at_folder, predict_folder
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr, tr_count
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.windows.progress_flow import ProgressFlow

_MAX_NAMED = 3
_WIDTH_PX = 420
_STEPS = 1000  # of the progress of one image


class PredictFolderFlow(ProgressFlow):
    """Predicts a folder of images with the version in use, one folder at a time.

    Args:
        session: Its runner does it.
        training: Knows the versions.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError`` or a sentence.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(
        self,
        session: Session,
        training: Training,
        window: QWidget,
        show: Callable[[object], None],
        device: str = "auto",
    ) -> None:
        super().__init__(window)
        self._session, self._training, self._window, self._show = session, training, window, show
        self._device = device

    def ask(self) -> None:
        """Ask which images and where to, then predict them."""
        if self._progress is not None:
            self._progress.show()
            self._progress.raise_()
            return
        project, number = self._session.project, self._training.current_version
        assert project is not None, "no project is open"
        assert number is not None, "no version is in use"
        out = project.root.parent / f"{project.root.name}-predictions"
        images = project.root / "images"  # in a data-set folder the masks are images, too
        dialog = PredictFolderDialog(images if images.is_dir() else project.root, out, number, self._window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            checkpoint = self._training.checkpoint_path(number)
            self.start(
                FolderRequest(checkpoint, dialog.images, dialog.out, dialog.confidence, dialog.flip, self._device)
            )

    def start(self, request: FolderRequest) -> None:
        """Predict; what is open and looked at goes first."""
        progress = self._progress = QProgressDialog(tr("Looking for images…"), tr("Cancel"), 0, 0, self._window)
        progress.setWindowTitle(tr("Predict folder"))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.NonModal)
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.canceled.connect(self._on_cancelled)
        progress.show()

        def on_error(error: PspnetError) -> None:
            self._close(progress)
            self._show(error)

        self._job = self._session.runner.submit(
            Lane.IO,
            lambda: look_at_folder(request),
            name=tr("looking for images"),
            priority=Priority.PREFETCH,
            on_done=lambda work: self._predict(request, work, progress),
            on_error=on_error,
        )

    def _predict(self, request: FolderRequest, work: FolderWork, progress: QProgressDialog) -> None:
        failures: list[ImageFailed] = []
        counts: Counter[bool] = Counter()

        def on_event(event: Any) -> None:
            if isinstance(event, WindowProgress):
                _show_progress(progress, event.done, event.total, event.share)
            elif isinstance(event, ImagePredicted):
                counts[event.was_there] += 1
                _show_progress(progress, event.done, event.total)
                progress.setLabelText(words_of_progress(event))
            elif isinstance(event, ImageFailed):
                failures.append(event)
                _show_progress(progress, event.done, event.total)

        def on_done(_: Any) -> None:
            self._close(progress)
            for message in words_of_end(counts, failures, request):
                self._show(message)

        def on_error(error: PspnetError) -> None:
            self._close(progress)
            for message in words_of_end(counts, failures, request) if counts or failures else []:
                self._show(message)
            self._show(error)  # in front of what was done before it

        self._job = self._session.runner.submit(
            Lane.TORCH,
            lambda: predict_folder(request, work),
            name=tr("predicting a folder"),
            priority=Priority.PREFETCH,
            on_event=on_event,
            on_done=on_done,
            on_error=on_error,
        )


def words_of_progress(event: ImagePredicted) -> str:
    """How far it is, and how long it will take."""
    text = tr("{done} of {total} images").format(done=event.done, total=event.total)
    left = event.seconds_left
    if left is None or event.done == event.total:
        return text
    if left < 100:
        return f"{text} · " + tr("{seconds} s left").format(seconds=max(1, round(left)))
    return f"{text} · " + tr("{minutes} min left").format(minutes=round(left / 60))


def words_of_end(counts: Counter[bool], failures: list[ImageFailed], request: FolderRequest) -> list[object]:
    """What is shown in the end: what could not be predicted first."""
    words: list[object] = []
    if failures:
        names = [f"{failure.image.name}: {failure.error.title}" for failure in failures[:_MAX_NAMED]]
        if len(failures) > _MAX_NAMED:
            names.append(tr_count("and 1 more.", "and {count} more.", len(failures) - _MAX_NAMED))
        title = tr_count("1 image could not be predicted.", "{count} images could not be predicted.", len(failures))
        words.append(PspnetError(title, "\n".join(names), tr("Repair these files, then predict the folder again.")))
    sentence = tr_count(
        "1 class map was written to {folder}.", "{count} class maps were written to {folder}.", counts[False]
    ).format(folder=request.out)
    if counts[True]:
        sentence += " " + tr_count(
            "1 image was predicted before.", "{count} images were predicted before.", counts[True]
        )
    words.append(sentence)
    return words


def _show_progress(progress: QProgressDialog, done: int, total: int, share: float = 0.0) -> None:
    progress.setMaximum(total * _STEPS)
    progress.setValue(round((done + share) * _STEPS))
