"""The steps of the open image as a list: what was done, which of it is in force."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from pspnet_core.types import UNLABELLED
from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.history import Step
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
        "copy mask": (tr("Copy mask"), "image"),
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
        self._steps: list[Step] = []
        self._num_done = 0
        self._has_document = False

    @property
    def num_steps(self) -> int:
        """How many steps are listed."""
        return len(self._steps)

    @property
    def current_row(self) -> int:
        """The row that is in force."""
        return self._num_done

    def refresh(self) -> None:
        """Show the history of the open image as it is now."""
        document: Document | None = self._session.document
        if (document is not None) != self._has_document:
            self.beginResetModel()
            self._has_document = document is not None
            self._steps, self._num_done = [], 0
            self.endResetModel()
        if document is None:
            return
        steps = document.history.steps
        common = 0
        while common < min(len(steps), len(self._steps)) and steps[common].head is self._steps[common].head:
            common += 1
        if common < len(self._steps):
            self.beginRemoveRows(_NOWHERE, common + 1, len(self._steps))
            del self._steps[common:]
            self.endRemoveRows()
        if common < len(steps):
            self.beginInsertRows(_NOWHERE, common + 1, len(steps))
            self._steps += steps[common:]
            self.endInsertRows()
        self._steps, self._num_done = steps, document.history.num_done
        self.dataChanged.emit(self.index(0), self.index(len(steps)))

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        return 0 if parent.isValid() or not self._has_document else len(self._steps) + 1

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = index.row()
        if not index.isValid() or row > len(self._steps):
            return None
        if role == StepRole.IS_CURRENT:
            return row == self._num_done
        return self._of_start(role) if row == 0 else self._of_step(row, self._steps[row - 1], role)

    def _of_start(self, role: int) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            has_earlier = bool(self._steps) and self._steps[0].is_restored
            return tr("Before these steps") if has_earlier else tr("As it was opened")
        return {StepRole.ICON: "image", StepRole.CLASS_NAME: "", StepRole.IS_DONE: True}.get(role)

    def _of_step(self, row: int, step: Step, role: int) -> Any:
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
                return row > 1 and self._steps[row - 2].is_restored and not step.is_restored
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
