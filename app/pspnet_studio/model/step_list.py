"""The steps of the open image as a list: what was done, which of it is in force."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from pspnet_core.types import UNLABELLED
from pspnet_studio.messages import tr
from pspnet_studio.model.history_entry import Step
from pspnet_studio.model.image_history import History
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_specs import tool_specs

_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()


class StepRole:
    """Data roles of the list."""

    ICON = Qt.ItemDataRole.UserRole.value + 1
    """Name of an icon."""

    CLASS_NAME = Qt.ItemDataRole.UserRole.value + 2
    """Of the class that was given; empty where there is not one."""

    COLOR = Qt.ItemDataRole.UserRole.value + 3
    """Of that class, or None."""

    IS_DONE = Qt.ItemDataRole.UserRole.value + 4
    IS_CURRENT = Qt.ItemDataRole.UserRole.value + 5
    BEGINS_SESSION = Qt.ItemDataRole.UserRole.value + 6
    """Whether this is the first step since the program was started, and there are earlier ones."""


def step_words(label: str) -> tuple[str, str]:
    """What a step is called, and its icon.

    Args:
        label: Of its record.
    """
    words = {
        "erase": (tr("Erase"), "eraser"),
        "accept": (tr("Accept"), "check"),
        "reject": (tr("Reject"), "close"),
        "clean up": (tr("Clean up regions"), "filter"),
        "convert": (tr("Convert class"), "layers"),
        "import annotations": (tr("Import annotations"), "image"),
        "copy mask": (tr("Copy mask"), "image"),
        "restore": (tr("Restore a backup"), "undo"),
    }
    spec = tool_specs().get(label)
    known = words.get(label) or (None if spec is None else (spec.text, spec.icon))
    return known or (label[:1].upper() + label[1:], "brush")


class StepListModel(QAbstractListModel):
    """A row for the image without any step, then one for each step; row n means: n steps are in force.

    Args:
        session: Whose open image.
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._history: History | None = None
        self._num_steps = 0

    @property
    def num_steps(self) -> int:
        """How many steps are listed."""
        return self._num_steps

    @property
    def current_row(self) -> int:
        """The row that is in force."""
        return 0 if self._history is None else self._history.num_done

    def refresh(self) -> None:
        """Show the history of the open image as it is now."""
        document = self._session.document
        self.beginResetModel()
        self._history = None if document is None else document.history
        self._num_steps = 0 if self._history is None else self._history.num_steps
        self.endResetModel()

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        return 0 if parent.isValid() or self._history is None else self._num_steps + 1

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        history, row = self._history, index.row()
        # Between a change and the next refresh, rows may be asked for that are gone.
        if history is None or not index.isValid() or row > history.num_steps:
            return None
        if role == StepRole.IS_CURRENT:
            return row == history.num_done
        return self._of_start(history, role) if row == 0 else self._of_step(history, row - 1, role)

    def _of_start(self, history: History, role: int) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            has_earlier = history.num_steps > 0 and history.step(0).is_restored
            return tr("Before these steps") if has_earlier else tr("As it was opened")
        return {StepRole.ICON: "image", StepRole.CLASS_NAME: "", StepRole.IS_DONE: True}.get(role)

    def _of_step(self, history: History, place: int, role: int) -> Any:
        step = history.step(place)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return step_words(step.head.label)[0]
            case Qt.ItemDataRole.AccessibleTextRole:
                text = f"{step_words(step.head.label)[0]} {self._class_of(step)[0]}".rstrip()
                return text if step.is_done else tr("{step}, undone").format(step=text)
            case Qt.ItemDataRole.ToolTipRole:
                return self._tip(step)
            case StepRole.ICON:
                return step_words(step.head.label)[1]
            case StepRole.CLASS_NAME:
                return self._class_of(step)[0]
            case StepRole.COLOR:
                return self._class_of(step)[1]
            case StepRole.IS_DONE:
                return step.is_done
            case StepRole.BEGINS_SESSION:
                return place > 0 and history.step(place - 1).is_restored and not step.is_restored
        return None

    def _class_of(self, step: Step) -> tuple[str, QColor | None]:
        project, class_id = self._session.project, step.head.class_id
        if project is None or class_id is None or class_id == UNLABELLED or class_id not in project.classes:
            return "", None
        known = project.classes[class_id]
        return known.name, QColor(*known.color)

    def _tip(self, step: Step) -> str:
        if not step.is_done:
            return tr("Undone; click to do it again, with all before it")
        if step.is_restored:
            return tr("From an earlier session; click to go back to it")
        return tr("Click to go back to it")
