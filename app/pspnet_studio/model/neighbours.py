"""The images next to the open one: read ahead while nothing else is to be read."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from pspnet_core.project.project import Item, Project
from pspnet_studio.jobs.read_ahead import PictureStore, read_ahead
from pspnet_studio.jobs.runner import JobHandle, JobRunner, Lane, Priority
from pspnet_studio.messages import tr

_DELAY_MS = 150
"""The image that was just opened is drawn first."""


class Neighbours(QObject):
    """Reads the next and the previous image into a store of pictures.

    Args:
        runner: Does it, after all that somebody waits for.

    Attributes:
        pictures: Those that were read ahead, and those that were open last.

    Signals:
        finished: All that was wanted is there, as far as it can be.
    """

    finished = Signal()

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pictures = PictureStore()
        self._runner = runner
        self._job: JobHandle | None = None
        self._items: list[Item] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._start)

    @property
    def items(self) -> list[Item]:
        """The next image and the previous one, as far as there are any."""
        return list(self._items)

    @property
    def is_busy(self) -> bool:
        """Whether something is being read ahead, or will be."""
        return self._timer.isActive() or (self._job is not None and self._job.is_running)

    def read(self, project: Project, order: Sequence[str], key: str) -> None:
        """Begin soon, with the image after ``key`` in ``order``, then the one before."""
        self.stop()
        if key in order:
            place = order.index(key)
            near = (*order[place + 1 : place + 2], *order[max(0, place - 1) : place])
            self._items = [project.item(neighbour) for neighbour in near]
            self._timer.start(_DELAY_MS)

    def stop(self) -> None:
        """Something else is wanted; what is being decoded just now is still kept."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def clear(self) -> None:
        """Forget all pictures: another project is opened, or none."""
        self.stop()
        self._items = []
        self.pictures.clear()

    def _start(self) -> None:
        items = self._items
        self._job = self._runner.submit(
            Lane.IO,
            lambda: read_ahead(self.pictures, items),
            name=tr("reading ahead"),
            priority=Priority.TIDY,
            on_done=lambda _: self.finished.emit(),
        )
