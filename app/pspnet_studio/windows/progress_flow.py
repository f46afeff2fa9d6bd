"""What all flows have in common that run one job behind a progress dialog."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QProgressDialog, QWidget

from pspnet_studio.jobs.runner import JobHandle


class ProgressFlow(QObject):
    """At most one job at a time, and the dialog that shows how far it is.

    Args:
        window: Parent of the dialogs.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._progress: QProgressDialog | None = None
        self._job: JobHandle | None = None

    def _on_cancelled(self) -> None:
        if self._progress is not None:
            self._close(self._progress)

    def _close(self, progress: QProgressDialog) -> None:
        """Take the dialog away, and end its job if it still runs; nothing happens when another one is shown by now."""
        if self._progress is not progress:
            return
        if self._job is not None:
            self._job.cancel()  # one that has ended does not mind
        self._progress = self._job = None
        progress.hide()
        progress.deleteLater()
