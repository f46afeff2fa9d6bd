"""Steps that change a whole image, and jumps in its history: worked out in a lane where they take long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QTimer

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.whole_image import Change, Planes

SMALL_PX = 2_000_000
"""Up to so many pixels are changed at once, by steps over a whole image and by jumps."""

_DELAY_MS = 50

_State = tuple[int, int, int]


@dataclass(slots=True, eq=False)
class _Task:
    """Something that waits for the lane, or is in it.

    Attributes:
        document: What it is about.
        work: Changes a snapshot of it.
        take: Gets the snapshot and what ``work`` gave, if the document is still as it was.
        target: Steps in force afterwards, of a jump.
        start: State that a jump begins at; with another it makes no sense.
        on_dropped: Told when it comes to nothing.
    """

    document: Document
    work: Callable[[Planes], Any]
    take: Callable[[Planes, Any], None]
    target: int | None = None
    start: _State | None = None
    on_dropped: Callable[[], None] = lambda: None


class WholeSteps(QObject):
    """Makes one step after the other. An edit that comes between is kept: the step is worked out again after it.

    Args:
        session: Whose open image.
        tell: Shows a sentence for a while.
    """

    def __init__(self, session: Session, tell: Callable[[str], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._tell = session, tell
        self._tasks: list[_Task] = []
        self._job: JobHandle | None = None
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._next)
        session.document_changed.connect(self._on_document_changed)

    def make(
        self,
        document: Document,
        change: Change,
        on_done: Callable[[MaskPatch | None], None],
        on_dropped: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a change as one step of the open image.

        Args:
            document: It.
            change: May be made more than once, on other snapshots.
            on_done: Gets its record, None when it changed nothing.
            on_dropped: Told when it was undone before it was there, failed, the image was left, or is read only.
        """

        def take(planes: Planes, patch: MaskPatch | None) -> None:
            if document.is_read_only:  # nothing was found to change then, or it may not be made any more
                document.refused.emit()
                on_dropped()
                return
            if patch is not None:
                document.take_over(planes, patch)
            on_done(patch)

        is_small = document.rect.w * document.rect.h <= SMALL_PX
        self._do(_Task(document, change, take, on_dropped=on_dropped), is_small)

    def undo(self, document: Document) -> None:
        """Take back the last step: the one that is being worked out, if there is."""
        if self._tasks and self._tasks[-1].target is None:
            self._drop_last()
        else:
            self._jump(document, self._position(document) - 1)

    def redo(self, document: Document) -> None:
        """Do again what was taken back last."""
        if not self._tasks or self._tasks[-1].target is not None:  # after a new step there is nothing to do again
            self._jump(document, self._position(document) + 1)

    def go_to(self, document: Document, num_done: int) -> None:
        """Undo or redo until so many steps are in force."""
        while self._tasks:
            self._drop_last()
        self._jump(document, num_done)

    # --- inside

    def _position(self, document: Document) -> int:
        target = self._tasks[-1].target if self._tasks else None
        return document.history.num_done if target is None else target

    def _jump(self, document: Document, num_done: int) -> None:
        history = document.history
        if document.is_editing or not 0 <= num_done <= history.num_steps:
            return
        while self._tasks:  # another jump: it goes on to this place at once
            self._drop_last()
        if num_done == history.num_done:
            return

        def take(planes: Planes, patches: list[MaskPatch]) -> None:
            document.go_to(num_done, (planes, patches))

        task = _Task(document, history.way_to(num_done), take, num_done, _state(document))
        if history.num_pixels_to(num_done) <= SMALL_PX:
            document.go_to(num_done)
        else:
            self._do(task, is_small=False)

    def _do(self, task: _Task, is_small: bool) -> None:
        if is_small and not self._tasks and not task.document.is_editing:
            planes = task.document.committed_snapshot()
            task.take(planes, task.work(planes))
            return
        self._tasks.append(task)
        self._next()

    def _next(self) -> None:
        if self._job is not None or not self._tasks:
            return
        task = self._tasks[0]
        state = _state(task.document)
        if task.document.is_editing:  # a stroke is under way
            self._timer.start()
            return
        if task.start is not None and task.start != state:
            self._tasks.pop(0)
            self._tell(tr("The image was edited meanwhile: it stays at this step."))
            self._next()
            return
        planes = task.document.committed_snapshot()
        self._job = self._session.runner.call(
            Lane.TOOL,
            lambda: task.work(planes),
            name=tr("changing the whole image"),
            priority=Priority.VISIBLE,
            on_done=partial(self._on_done, task, state, planes),
            on_error=self._on_error,
        )

    def _on_done(self, task: _Task, state: _State, planes: Planes, result: Any) -> None:
        if not self._tasks or self._tasks[0] is not task:
            return  # dropped
        self._job = None
        if not task.document.is_editing and _state(task.document) == state:
            self._tasks.pop(0)
            task.take(planes, result)
        self._next()

    def _on_error(self, error: PspnetError) -> None:
        self._job = None
        task = self._tasks.pop(0)
        self._session.notice.emit(error)
        task.on_dropped()
        self._next()

    def _drop_last(self) -> None:
        task = self._tasks.pop()
        if not self._tasks:
            self._timer.stop()
            if self._job is not None:
                self._job.cancel()
            self._job = None
        task.on_dropped()

    def _on_document_changed(self) -> None:
        document = self._session.document
        if any(task.document is not document for task in self._tasks):
            while self._tasks:
                self._drop_last()
            self._tell(tr("The image was left before the step was done: it stays as it was."))


def _state(document: Document) -> _State:
    return document.revision, document.history.num_done, document.history.num_steps
