"""The versions of a project, one of which predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QFont,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPen,
    QStandardItem,
    QStandardItemModel,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QStackedWidget,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from pspnet_studio.assets import icon
from pspnet_studio.messages import tr
from pspnet_studio.panels.disclosure import make_label
from pspnet_studio.panels.rows import draw_row_background, small
from pspnet_studio.panels.training_words import score_text, version_line
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS, tokens

if TYPE_CHECKING:
    from pspnet_core.training.versions import Version

_Index = QModelIndex | QPersistentModelIndex
_RADIO_PX = 14
_LEAST_HEIGHT = 108
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


class VersionRole:
    """Data roles of the list."""

    NUMBER = Qt.ItemDataRole.UserRole.value + 1
    """0 in the row for no version."""
    DETAIL = Qt.ItemDataRole.UserRole.value + 2
    SCORE = Qt.ItemDataRole.UserRole.value + 3
    IN_USE = Qt.ItemDataRole.UserRole.value + 4


class VersionList(QWidget):
    """A list of versions, newest first, and a row for none. The mark at the left chooses, as Enter does.

    Signals:
        chosen: A person chose another version: its number, or None.
        selection_changed: Another row has the keyboard.
    """

    chosen = Signal(object)
    selection_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel(tr("Versions"))
        title.setProperty("look", "title")
        self._empty = make_label("muted")
        self._empty.setText(tr("None yet. Label a few areas of two classes or more, then press Fine-tune."))
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._current: int | None = None
        self._model = QStandardItemModel(self)
        self.view = _View(self)
        self.view.setModel(self._model)
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.choice_wanted.connect(self._choose)
        self.view.selectionModel().currentChanged.connect(lambda *_: self.selection_changed.emit())
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.more_button = QToolButton()
        self.more_button.setIcon(icon("more"))
        self.more_button.setToolTip(tr("What can be done with the chosen version"))
        self.more_button.setAccessibleName(self.more_button.toolTip())
        self.more_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more_button.setMenu(self.menu)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self.view)
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(self.more_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE_XS)
        column.addLayout(head)
        column.addWidget(self._pages, 1)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._show_menu)

    def set_actions(self, actions: Sequence[QAction]) -> None:
        """Offer these for the row that has the keyboard; their shortcuts hold in the list."""
        for action in actions:
            self.menu.addAction(action)
            self.view.addAction(action)

    def show_versions(self, versions: Sequence[Version]) -> None:
        """Show these versions, given oldest first."""
        selected = self.selected
        self._model.clear()
        for version in reversed(versions):
            title = tr("Version {number}").format(number=version.number)
            self._model.appendRow(_item(title, version.number, version_line(version), score_text(version)))
        none = _item(tr("None"), 0, tr("no predictions"), "")
        none.setToolTip(tr("Show no predictions; the versions stay"))
        self._model.appendRow(none)
        self._pages.setCurrentWidget(self.view if versions else self._empty)
        self.more_button.setVisible(bool(versions))
        self.select(selected)

    def set_current(self, number: int | None) -> None:
        """Mark the version that predicts; when it is another than before, its row gets the keyboard."""
        is_other, self._current = number != self._current, number
        for row in range(self._model.rowCount()):
            item = self._model.item(row)
            is_in_use = item.data(VersionRole.NUMBER) == (number or 0)
            item.setData(is_in_use, VersionRole.IN_USE)
            words = (item.text(), tr("in use") if is_in_use else "", item.data(VersionRole.DETAIL))
            score = item.data(VersionRole.SCORE)
            spoken = ", ".join(
                word for word in (*words, tr("mIoU {score}").format(score=score) if score else "") if word
            )
            item.setData(spoken, Qt.ItemDataRole.AccessibleTextRole)
        if number is not None and (is_other or self.selected is None):
            self.select(number)
        self.selection_changed.emit()

    def select(self, number: int | None) -> None:
        """Give the keyboard's row to a version; to none when there is no such version."""
        self.view.setCurrentIndex(self._index_of(number) if number else QModelIndex())

    @property
    def selected(self) -> int | None:
        """Number of the version whose row has the keyboard; None for none."""
        return self.view.currentIndex().data(VersionRole.NUMBER) or None

    @property
    def empty_text(self) -> str:
        """What it says while there is no version."""
        return self._empty.text()

    @property
    def rows(self) -> list[str]:
        """What the rows say to somebody who does not see them."""
        return [
            str(self._model.item(row).data(Qt.ItemDataRole.AccessibleTextRole)) for row in range(self._model.rowCount())
        ]

    def choose(self, number: int | None) -> None:
        """As if a person chose a version."""
        self._choose(self._index_of(number or 0))

    @property
    def full_height(self) -> int:
        """What it takes to show all rows, in logical pixels."""
        head = self.sizeHint().height() - self._pages.sizeHint().height()
        if self._pages.currentWidget() is self._empty:
            return head + self._empty.heightForWidth(max(1, self.width()))
        return head + self._model.rowCount() * self.view.sizeHintForRow(0) + 2

    # --- inside

    def _index_of(self, number: int) -> QModelIndex:
        found = self._model.match(self._model.index(0, 0), VersionRole.NUMBER, number, 1, Qt.MatchFlag.MatchExactly)
        return found[0] if found else QModelIndex()

    def _choose(self, index: _Index) -> None:
        if index.isValid() and not index.data(VersionRole.IN_USE):
            self.chosen.emit(index.data(VersionRole.NUMBER) or None)

    def _show_menu(self, place: QPoint) -> None:
        index = self.view.indexAt(place)
        if index.isValid():
            self.view.setCurrentIndex(index)
        if self.selected is not None:
            self.menu.exec(self.view.viewport().mapToGlobal(place))

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), _LEAST_HEIGHT)


class _View(QListView):
    """The list itself.

    Signals:
        choice_wanted: Index whose mark was pressed, or that Enter was pressed on.
    """

    choice_wanted = Signal(QModelIndex)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Versions"))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        index = self.indexAt(event.position().toPoint())
        is_mark = index.isValid() and event.position().x() < self.visualRect(index).left() + mark_width()
        if event.button() == Qt.MouseButton.LeftButton and is_mark:
            self.choice_wanted.emit(index)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and index.isValid():
            self.choice_wanted.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _ENTER and not event.modifiers():
            self.choice_wanted.emit(self.currentIndex())
            event.accept()
            return
        super().keyPressEvent(event)


def mark_width() -> int:
    """Width of the part of a row that chooses, in logical pixels."""
    return SPACE_S + _RADIO_PX + SPACE_S


class _Delegate(QStyledItemDelegate):
    """A row: the mark, number and mIoU, and below them when and how it was made."""

    def sizeHint(self, option: QStyleOptionViewItem, _index: _Index) -> QSize:
        text = QFontMetrics(option.font).height() + QFontMetrics(small(option.font)).height()
        return QSize(140, text + SPACE_M)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        from PySide6.QtWidgets import QStyle  # as in rows: not before a row is painted

        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        t, rect = tokens(option.palette), option.rect
        draw_row_background(painter, option, bool(option.state & QStyle.StateFlag.State_Selected))
        is_in_use = bool(index.data(VersionRole.IN_USE))
        mark = QRectF(rect.left() + SPACE_S, rect.center().y() - _RADIO_PX / 2 + 1, _RADIO_PX, _RADIO_PX)
        painter.setPen(QPen(t.accent_fill if is_in_use else t.control, 4.5 if is_in_use else 1))
        painter.setBrush(t.surface)
        inset = 2.25 if is_in_use else 0.5
        painter.drawEllipse(mark.adjusted(inset, inset, -inset, -inset))
        room = rect.adjusted(mark_width(), SPACE_XS, -SPACE_S, -SPACE_XS)
        line = QFontMetrics(option.font).height()
        upper = QRect(room.left(), room.top() + 1, room.width(), line)
        lower = QRect(room.left(), upper.bottom() + 1, room.width(), room.bottom() - upper.bottom())
        font = QFont(option.font)
        font.setBold(is_in_use)
        painter.setFont(font)
        painter.setPen(t.text)
        title = index.data(Qt.ItemDataRole.DisplayRole)
        if is_in_use:
            title = tr("{version}, in use").format(version=title)
        painter.drawText(upper, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        if score := index.data(VersionRole.SCORE):
            text = score if score == "–" else tr("mIoU {score}").format(score=score)
            if painter.fontMetrics().horizontalAdvance(f"{title}  {text}") > upper.width():
                text = score
            painter.drawText(upper, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
        painter.setFont(small(option.font))
        painter.setPen(t.muted)
        detail = painter.fontMetrics().elidedText(
            index.data(VersionRole.DETAIL), Qt.TextElideMode.ElideRight, lower.width()
        )
        painter.drawText(lower, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, detail)
        painter.restore()


def _item(title: str, number: int, detail: str, score: str) -> QStandardItem:
    item = QStandardItem(title)
    item.setData(number, VersionRole.NUMBER)
    item.setData(detail, VersionRole.DETAIL)
    item.setData(score, VersionRole.SCORE)
    if number:
        evidence = tr("No evidence yet") if score == "–" else tr("mIoU {score} on held-out areas").format(score=score)
        item.setToolTip(f"{detail}\n{evidence}")
    return item
