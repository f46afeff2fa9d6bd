"""The mask of the image before, copied onto what is unlabelled in this one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.patch import MaskPatch
from pspnet_core.imaging.read import read_info
from pspnet_core.project.project import Item, Project
from pspnet_core.types import ClassMap
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.jobs.runner import JobHandle, Lane, Priority
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.whole_image import copied
from pspnet_studio.model.whole_steps import WholeSteps


class CopyMaskFlow(QObject):
    """Reads the mask in the background; another image that is opened meanwhile gets nothing.

    Args:
        session: Whose images.
        canvas: Ends its stroke before the edit.
        steps: Makes the edit.
        show: Shows a ``PspnetError``.
        tell: Shows a sentence for a while.
    """

    def __init__(
        self,
        session: Session,
        canvas: CanvasView,
        steps: WholeSteps,
        show: Callable[[object], None],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(canvas)
        self._session, self._canvas, self._steps, self._show, self._tell = session, canvas, steps, show, tell
        self._job: JobHandle | None = None

    def copy(self) -> None:
        """Copy as one step."""
        project, document = self._session.project, self._session.document
        if project is None or document is None:
            return
        key = self._session.neighbour(-1)
        if key is None:
            self._tell(tr("There is no image before this one in the list."))
            return
        item = project.item(key)
        unsaved = self._session.autosave.unsaved_planes(project, key)
        newest = None if unsaved is None else unsaved.class_plane
        shape = document.shape
        if self._job is not None:
            self._job.cancel()

        def read() -> ClassMap:
            return newest.to_array() if newest is not None else _read_mask(project, item, shape)

        self._job = self._session.runner.call(
            Lane.IO,
            read,
            name=tr("reading the mask of {name}").format(name=item.image_path.name),
            priority=Priority.OPEN,
            on_done=lambda class_map: self._on_read(document, item, class_map),
            on_error=self._on_error,
        )

    def _on_read(self, document: Document, item: Item, class_map: ClassMap) -> None:
        self._job = None
        if document is not self._session.document:
            return
        self._canvas.end_stroke()
        if class_map.shape != document.shape:
            self._show(_other_size(item, class_map.shape, document.shape))
            return
        change = document.patching(lambda planes: copied(planes, document.item_key, class_map))
        self._steps.make(document, change, on_done=lambda patch: self._on_copied(item, patch))

    def _on_copied(self, item: Item, patch: MaskPatch | None) -> None:
        if patch is None:
            self._tell(tr("{name} has no class where this image is unlabelled.").format(name=item.image_path.name))

    def _on_error(self, error: PspnetError) -> None:
        self._job = None
        self._show(error)


def _read_mask(project: Project, item: Item, shape: tuple[int, int]) -> ClassMap:
    """The saved mask of an item. Raises: PspnetError (it cannot be read, or is of another size)."""
    info = read_info(item.image_path, item.page)
    if (info.height, info.width) != shape:
        raise _other_size(item, (info.height, info.width), shape)
    return project.load_annotation(item, info.width, info.height).class_map


def _other_size(item: Item, there: tuple[int, ...], here: tuple[int, int]) -> PspnetError:
    return PspnetError(
        tr("The mask of {name} does not fit this image.").format(name=item.image_path.name),
        tr("It is {there_w} × {there_h} px, this image {here_w} × {here_h} px.").format(
            there_w=there[1], there_h=there[0], here_w=here[1], here_h=here[0]
        ),
        tr("Masks are copied between images of one size."),
    )
