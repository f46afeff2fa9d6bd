"""Reads one project or image at a time; a newer wish ends an older one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Item, Project
from pspnet_studio.jobs.opening import Loaded, Opened, Planes, open_item
from pspnet_studio.jobs.read_ahead import PictureStore
from pspnet_studio.jobs.runner import JobHandle, JobRunner, Lane, Priority
from pspnet_studio.messages import tr


class Loader(QObject):
    """Has what a person waits for read on the io lane.

    Signals:
        changed: Whether something is being read.
    """

    changed = Signal(bool)

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._job: JobHandle | None = None

    @property
    def is_loading(self) -> bool:
        """Whether something is being read."""
        return self._job is not None

    def cancel(self) -> None:
        """Give up what is being read."""
        if self._job is not None:
            self._job.cancel()
            self._end()

    def call(
        self,
        function: Callable[[], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[PspnetError], None],
        name: str,
    ) -> None:
        """Run a function in place of what is being read; nothing is being read any more when a callback is called."""
        self._begin(
            self._runner.call(
                Lane.IO,
                function,
                name=name,
                priority=Priority.OPEN,
                on_done=lambda result: self._end(lambda: on_done(result)),
                on_error=lambda error: self._end(lambda: on_error(error)),
            )
        )

    def open(
        self,
        project: Project,
        item: Item,
        planes: Planes | None,
        store: PictureStore,
        on_event: Callable[[Opened | Loaded], None],
        on_done: Callable[[], None],
        on_error: Callable[[PspnetError], None],
    ) -> None:
        """Read an item (:func:`open_item`) in place of what is being read."""
        self._begin(
            self._runner.submit(
                Lane.IO,
                lambda: open_item(project, item, planes, store),
                name=tr("opening {name}").format(name=item.image_path.name),
                priority=Priority.OPEN,
                on_event=on_event,
                on_done=lambda _: self._end(on_done),
                on_error=lambda error: self._end(lambda: on_error(error)),
            )
        )

    def _begin(self, job: JobHandle) -> None:
        if self._job is not None:
            self._job.cancel()
        self._job = job
        self.changed.emit(True)

    def _end(self, then: Callable[[], None] | None = None) -> None:
        self._job = None
        self.changed.emit(False)
        if then is not None:
            then()
