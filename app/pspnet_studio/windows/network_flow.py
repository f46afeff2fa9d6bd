"""From the question which network, over its download, to the setting of the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from pspnet_core.errors import PspnetError
from pspnet_core.pretrained import cached_weights
from pspnet_core.project.project import Project
from pspnet_core.remote import megabytes
from pspnet_studio.dialogs.network import NetworkDialog
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.networks import NetworkChoice, name_of, network_choices
from pspnet_studio.model.session import Session
from pspnet_studio.model.training import Training
from pspnet_studio.windows.progress_flow import ProgressFlow

if TYPE_CHECKING:
    from pspnet_core.download import DownloadProgress

_PATIENCE_MS = 400
_WIDTH_PX = 420
_STEPS = 1000


class NetworkFlow(ProgressFlow):
    """Chooses the network that fine-tunes of the open project start with; one download at a time.

    Args:
        session: Its project gets the choice.
        training: Keeps the choice.
        window: Parent of the dialogs.
        show: Shows a ``PspnetError`` or a sentence.
    """

    def __init__(self, session: Session, training: Training, window: QWidget, show: Callable[[object], None]) -> None:
        super().__init__(window)
        self._session, self._training, self._window, self._show = session, training, window, show
        session.project_changed.connect(self._on_cancelled)

    def ask(self) -> None:
        """Ask which network, fetch it if it has to be, and keep the choice."""
        project = self._session.project
        assert project is not None, "no project is open"
        if self._progress is not None:
            self._progress.show()
            self._progress.raise_()
            return
        start = self._training.start_choice
        dialog = NetworkDialog(network_choices(start, self._training.versions()), start, self._window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.use(project, dialog.choice)

    def use(self, project: Project, choice: NetworkChoice) -> None:
        """Let fine-tunes of ``project`` start with ``choice``, after its download where it is not here."""
        if choice.is_here:
            if choice.start != self._training.start_choice:
                self._keep(project, choice)
        elif choice.remote is not None and choice.start.file is None:
            self._download(project, choice)

    # --- inside

    def _keep(self, project: Project, choice: NetworkChoice) -> None:
        if project is not self._session.project:
            return
        self._training.set_start(choice.start)
        self._show(tr("The next fine-tune starts with {name}.").format(name=name_of(choice.start)))

    def _download(self, project: Project, choice: NetworkChoice) -> None:
        remote = choice.remote
        assert remote is not None, "nothing to download"
        target = cached_weights(choice.start.backbone)
        progress = self._progress = QProgressDialog(
            tr("Connecting to {host}…").format(host=remote.host), tr("Cancel"), 0, 0, self._window
        )
        progress.setWindowTitle(tr("Download {name}").format(name=name_of(choice.start)))
        progress.setMinimumWidth(_WIDTH_PX)
        progress.setWindowModality(Qt.WindowModality.NonModal)
        progress.setAutoReset(False)
        progress.setAutoClose(False)
        progress.setMinimumDuration(_PATIENCE_MS)
        progress.canceled.connect(self._on_cancelled)

        def run() -> Iterator[Any]:
            from pspnet_core.download import download

            yield from download(remote, target)

        def on_done(_last: Any) -> None:
            self._close(progress)
            self._keep(project, choice)

        def on_error(error: PspnetError) -> None:
            self._close(progress)
            self._show(error)

        self._job = self._session.runner.submit(
            Lane.NETWORK,
            run,
            name=tr("downloading {name}").format(name=remote.name),
            priority=Priority.PREFETCH,
            on_event=lambda event: _show_progress(progress, event),
            on_done=on_done,
            on_error=on_error,
        )


def _show_progress(progress: QProgressDialog, event: DownloadProgress) -> None:
    done = megabytes(event.done_bytes)
    if event.total_bytes:
        progress.setMaximum(_STEPS)
        progress.setValue(_STEPS * event.done_bytes // event.total_bytes)
        text = tr("{done} of {total}").format(done=done, total=megabytes(event.total_bytes))
    else:
        text = done
    if event.attempt > 1:
        text += "\n" + tr("The connection was cut; going on (attempt {number})…").format(number=event.attempt)
    progress.setLabelText(text)
