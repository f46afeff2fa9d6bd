"""The list of classes: what one paints with, names, colours, what is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.errors import ClassSetError
from pspnet_studio.assets import icon
from pspnet_studio.messages import tr
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.rows import ClassDelegate, ClassPart, ClassRole
from pspnet_studio.theme import SPACE_S, SPACE_XS

_DIGITS = "1234567890"
_NO_INDEX = QModelIndex()


def digit_of(place: int) -> str:
    """The digit key that chooses the class at a place of the list (0 = first): 1 to 9, then 0; empty beyond."""
    return _DIGITS[place] if place < len(_DIGITS) else ""


class ClassListModel(QAbstractListModel):
    """The classes of the session's project, one row each."""

    def __init__(self, session: Session, tool_state: ToolState, panel: ClassesPanel) -> None:
        super().__init__(panel)
        self._session = session
        self._tool_state = tool_state
        self._panel = panel
        self._classes: Sequence[ClassDef] = ()

    def reload(self) -> None:
        """Show what the project has; rows are kept where their number is the same."""
        project = self._session.project
        classes = tuple(project.classes) if project is not None else ()
        if [c.index for c in classes] != [c.index for c in self._classes]:
            self.beginResetModel()
            self._classes = classes
            self.endResetModel()
        else:
            self._classes = classes
            self.repaint_all()

    def repaint_all(self) -> None:
        """Another class is active, or classes look different."""
        if self._classes:
            self.dataChanged.emit(self.index(0), self.index(len(self._classes) - 1))

    def row_of(self, class_id: int | None) -> int | None:
        """Row of a class; None when it is not there."""
        return next((row for row, c in enumerate(self._classes) if c.index == class_id), None)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._classes)

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        c = self._classes[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return c.name
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                return self._description(index.row())
            case ClassRole.INDEX:
                return c.index
            case ClassRole.COLOR:
                return QColor(*c.color)
            case ClassRole.VISIBLE:
                return c.visible
            case ClassRole.DIGIT:
                return digit_of(index.row())
            case ClassRole.ACTIVE:
                return c.index == self._tool_state.class_id
            case ClassRole.LOCKED:
                return c.index in self._tool_state.locked
        return None

    def setData(
        self, index: QModelIndex | QPersistentModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        if role != Qt.ItemDataRole.EditRole or not index.isValid():
            return False
        return self._panel.rename(self._classes[index.row()].index, str(value))

    def _description(self, row: int) -> str:
        c = self._classes[row]
        words = tr("Paint with “{name}” (key {digit})") if digit_of(row) else tr("Paint with “{name}”")
        hidden = "" if c.visible else tr("Hidden in the overlay.")
        locked = tr("Locked: no tool changes its pixels.") if c.index in self._tool_state.locked else ""
        hint = tr("F2 renames it; click the colour to change it, the lock to keep its pixels as they are.")
        parts = (words.format(name=c.name, digit=digit_of(row)), hidden, locked, hint)
        return "\n".join(part for part in parts if part)


class ClassesPanel(QWidget):
    """Adds, renames, recolours, shows, hides and locks classes, and chooses the one that is painted with.

    Args:
        session: Whose project; every change goes through ``add_class`` or ``set_classes``.
        tool_state: Holds the active class.
    """

    def __init__(self, session: Session, tool_state: ToolState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._tool_state = tool_state
        self.model = ClassListModel(session, tool_state, self)
        self.view = _ClassView(self.model, self)
        self._field = QLineEdit()
        self._add_button = QToolButton()
        self._error = QLabel()
        self._pages = QStackedWidget()
        self._empty = EmptyState("layers", "", "")
        self._lay_out()

        self._field.returnPressed.connect(self._on_add)
        self._field.textEdited.connect(lambda _text: self._show_error(None))
        self._add_button.clicked.connect(self._on_add)
        self.view.selectionModel().currentChanged.connect(self._on_current_row_changed)
        self.view.part_clicked.connect(self._on_part_clicked)
        self.view.menu_wanted.connect(self.show_menu)
        session.classes_changed.connect(self._on_classes_changed)
        session.project_changed.connect(self._on_classes_changed)
        tool_state.changed.connect(self._on_tool_changed)
        self._on_classes_changed()

    def add(self, name: str) -> bool:
        """Add a class and paint with it; False (and a message in the panel) when the name is impossible."""
        if self._session.project is None:
            return False
        try:
            class_id = self._session.add_class(name)
        except ClassSetError as error:
            self._show_error(error)
            return False
        self._show_error(None)
        self._tool_state.set_class_id(class_id)
        return True

    def rename(self, class_id: int, name: str) -> bool:
        """Rename a class; False (and a message in the panel) when the name is impossible."""
        return self._try(lambda: self._classes().change(class_id, name=name))

    def set_color(self, class_id: int, color: QColor) -> None:
        """Recolour a class."""
        self._try(lambda: self._classes().change(class_id, color=(color.red(), color.green(), color.blue())))

    def toggle_visible(self, class_id: int) -> None:
        """Show or hide a class in the overlay."""
        classes = self._classes()
        self._try(lambda: classes.change(class_id, visible=not classes[class_id].visible))

    def toggle_locked(self, class_id: int) -> None:
        """Keep the pixels of a class as they are, or let tools change them."""
        self._session.set_locked(class_id, class_id not in self._tool_state.locked)

    def choose_color(self, class_id: int) -> None:
        """Let the colour of a class be chosen in a dialog."""
        c = self._classes()[class_id]
        dialog = QColorDialog(QColor(*c.color), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        # Qt's own dialog looks and works the same everywhere, and by keyboard.
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        dialog.setWindowTitle(tr("Colour of “{name}”").format(name=c.name))
        dialog.colorSelected.connect(lambda color: self.set_color(class_id, color))
        dialog.open()

    @property
    def error_text(self) -> str:
        """The message that is shown; empty when there is none."""
        return self._error.text()

    def show_menu(self, row: int, position: QPoint) -> None:
        """What can be done with a class, at a global position."""
        index = self.model.index(row)
        class_id = index.data(ClassRole.INDEX)
        is_visible = index.data(ClassRole.VISIBLE)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(icon("brush"), tr("Paint with it"), lambda: self._tool_state.set_class_id(class_id))
        menu.addSeparator()
        menu.addAction(tr("Rename…\tF2"), lambda: self.view.edit(self.model.index(row)))
        menu.addAction(tr("Change colour…"), lambda: self.choose_color(class_id))
        menu.addAction(
            icon("eye-off" if is_visible else "eye"),
            tr("Hide\tSpace") if is_visible else tr("Show\tSpace"),
            lambda: self.toggle_visible(class_id),
        )
        is_locked = index.data(ClassRole.LOCKED)
        menu.addAction(
            icon("lock-open" if is_locked else "lock"),
            tr("Unlock its pixels") if is_locked else tr("Lock its pixels"),
            lambda: self.toggle_locked(class_id),
        )
        menu.popup(position)

    # --- inside

    def _lay_out(self) -> None:
        self._field.setPlaceholderText(tr("Add a class"))
        self._field.setAccessibleName(tr("Name of a new class"))
        self._field.setToolTip(tr("Type a name and press Enter"))
        self._add_button.setIcon(icon("plus"))
        self._add_button.setToolTip(tr("Add this class (Enter)"))
        self._add_button.setAccessibleName(tr("Add class"))
        self._add_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._error.setProperty("look", "error")
        self._error.setWordWrap(True)
        self._error.hide()
        row = QHBoxLayout()
        row.setSpacing(SPACE_XS)
        row.addWidget(self._field, 1)
        row.addWidget(self._add_button)
        head = QVBoxLayout()
        head.setContentsMargins(SPACE_S, SPACE_S, SPACE_S, SPACE_S)
        head.setSpacing(SPACE_XS)
        head.addLayout(row)
        head.addWidget(self._error)
        self._pages.addWidget(self.view)
        self._pages.addWidget(self._empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self._pages, 1)

    def _classes(self) -> ClassSet:
        assert self._session.project is not None, "no project is open"
        return self._session.project.classes

    def _try(self, change: Callable[[], ClassSet]) -> bool:
        try:
            classes = change()
        except ClassSetError as error:
            self._show_error(error)
            return False
        self._show_error(None)
        self._session.set_classes(classes)
        return True

    def _show_error(self, error: ClassSetError | None) -> None:
        self._error.setText("" if error is None else " ".join(p for p in (error.title, error.remedy) if p))
        self._error.setVisible(error is not None)
        if bool(self._field.property("isWrong")) != (error is not None):
            self._field.setProperty("isWrong", error is not None)
            self._field.style().polish(self._field)

    def _on_add(self) -> None:
        if not self._field.text().strip():
            self._field.setFocus()
        elif self.add(self._field.text()):
            self._field.clear()

    def _on_classes_changed(self) -> None:
        self.model.reload()
        has_project = self._session.project is not None
        self._field.setEnabled(has_project)
        self._add_button.setEnabled(has_project)
        if has_project:
            self._empty.set_words(tr("Name what you want to find"), tr("Type a class and press Enter."))
        else:
            self._empty.set_words(tr("No classes yet"), tr("Open a folder of images first."))
            self._show_error(None)
        self._pages.setCurrentWidget(self.view if self.model.rowCount() else self._empty)
        self._mark_active()

    def _on_tool_changed(self) -> None:
        self.model.repaint_all()
        self._mark_active()

    def _mark_active(self) -> None:
        row, selection = self.model.row_of(self._tool_state.class_id), self.view.selectionModel()
        if row is None:
            selection.clear()
            return
        if row != self.view.currentIndex().row():
            self.view.setCurrentIndex(self.model.index(row))
            self.view.scrollTo(self.model.index(row))

    def _on_current_row_changed(self, index: QModelIndex) -> None:
        if index.isValid() and self.view.is_choosing:
            self._tool_state.set_class_id(index.data(ClassRole.INDEX))

    def _on_part_clicked(self, row: int, part: ClassPart) -> None:
        class_id = self.model.index(row).data(ClassRole.INDEX)
        if part is ClassPart.EYE:
            self.toggle_visible(class_id)
        elif part is ClassPart.LOCK:
            self.toggle_locked(class_id)
        else:
            self.choose_color(class_id)


class _ClassView(QListView):
    """The list itself: tells swatch, lock and eye from the rest of a row.

    Signals:
        part_clicked: Row and ClassPart (swatch, lock or eye).
        menu_wanted: Row and global position.
    """

    part_clicked = Signal(int, object)
    menu_wanted = Signal(int, QPoint)

    def __init__(self, model: ClassListModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._parts = ClassDelegate(self)
        self.is_choosing = False
        self.setModel(model)
        self.setItemDelegate(self._parts)
        self.setAccessibleName(tr("Classes"))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)

    def rect_of(self, row: int) -> QRect:
        """Where a row is, in the viewport."""
        return self.visualRect(self.model().index(row, 0))

    def _part_at(self, pos: QPoint) -> tuple[int, ClassPart] | None:
        index = self.indexAt(pos)
        return (index.row(), self._parts.part_at(self.visualRect(index), pos)) if index.isValid() else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        hit = self._part_at(event.position().toPoint())
        if event.button() != Qt.MouseButton.LeftButton:
            event.accept()
        elif hit is not None and hit[1] is not ClassPart.NAME:
            event.accept()
            self.part_clicked.emit(*hit)
        else:
            self.is_choosing = True
            try:
                super().mousePressEvent(event)
            finally:
                self.is_choosing = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        hit = self._part_at(event.position().toPoint())
        if hit is not None and hit[1] is ClassPart.NAME:
            super().mouseDoubleClickEvent(event)
        elif hit is not None and hit[1] in (ClassPart.EYE, ClassPart.LOCK):
            self.mousePressEvent(event)  # two quick clicks are two clicks

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and self.currentIndex().isValid():
            self.part_clicked.emit(self.currentIndex().row(), ClassPart.EYE)
            event.accept()
            return
        self.is_choosing = True
        try:
            super().keyPressEvent(event)
        finally:
            self.is_choosing = False

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_keyboard = event.reason() == QContextMenuEvent.Reason.Keyboard
        index = self.currentIndex() if by_keyboard else self.indexAt(event.pos())
        if index.isValid():
            position = self.visualRect(index).center() if by_keyboard else event.pos()
            self.menu_wanted.emit(index.row(), self.viewport().mapToGlobal(position))
