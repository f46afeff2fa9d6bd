"""The lists of a review: classes, images, labels that look wrong; a row leads to the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter, QPen, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStackedWidget,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from pspnet_core.classes import Color
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.rows import draw_row_background, small
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS, tokens

_Index = QModelIndex | QPersistentModelIndex
_SWATCH_PX, _BAR_PX = 12, 5
_ROW = Qt.ItemDataRole.UserRole.value + 1
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row.

    Attributes:
        title: Its first line.
        value: At the right end of that line.
        detail: Its second line; "" for none.
        colors: Of the classes it is about.
        bar: A share that is drawn as a bar, 0 to 1; None for none.
        target: What is chosen with it.
    """

    title: str
    value: str
    target: Any
    detail: str = ""
    colors: tuple[Color, ...] = ()
    bar: float | None = None

    @property
    def spoken(self) -> str:
        """For somebody who does not see it."""
        return ", ".join(part for part in (self.title, self.value, self.detail) if part)


class RowList(QStackedWidget):
    """A list of rows, or what is said where there are none.

    Args:
        name: For somebody who does not see it.
        empty: Shown while there is no row.

    Signals:
        chosen: Target of the row that was clicked or that Enter was pressed on.
    """

    chosen = Signal(object)

    def __init__(self, name: str, empty: EmptyState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = QStandardItemModel(self)
        self.view = _View(self)
        self.view.setAccessibleName(name)
        self.view.setModel(self._model)
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.clicked.connect(self._choose)
        self.view.wanted.connect(self._choose)
        self.addWidget(empty)
        self.addWidget(self.view)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these."""
        self._model.clear()
        for row in rows:
            item = QStandardItem(row.title)
            item.setData(row, _ROW)
            item.setData(row.spoken, Qt.ItemDataRole.AccessibleTextRole)
            item.setToolTip(row.detail or row.spoken)
            self._model.appendRow(item)
        self.setCurrentIndex(1 if rows else 0)

    @property
    def rows(self) -> list[Row]:
        """What is shown."""
        return [self._model.item(n).data(_ROW) for n in range(self._model.rowCount())]

    def row_rect(self, number: int) -> QRect:
        """Where a row lies in the view."""
        return self.view.visualRect(self._model.index(number, 0))

    def _choose(self, index: _Index) -> None:
        if index.isValid():
            self.chosen.emit(index.data(_ROW).target)


class _View(QListView):
    """The list itself.

    Signals:
        wanted: Enter was pressed on a row.
    """

    wanted = Signal(QModelIndex)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _ENTER and not event.modifiers():
            self.wanted.emit(self.currentIndex())
            event.accept()
            return
        super().keyPressEvent(event)


class _Delegate(QStyledItemDelegate):
    """Paints a row: swatches, two lines or a line and a bar, and a number at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        row = index.data(_ROW)
        line, detail = QFontMetrics(option.font).height(), QFontMetrics(small(option.font)).height()
        below = (detail if row.detail else 0) + (_BAR_PX + SPACE_XS if row.bar is not None else 0)
        return QSize(180, line + below + SPACE_M)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        from PySide6.QtWidgets import QStyle  # as in rows: not before a row is painted

        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row, t = index.data(_ROW), tokens(option.palette)
        draw_row_background(painter, option, bool(option.state & QStyle.StateFlag.State_Selected))
        room = option.rect.adjusted(SPACE_M, SPACE_XS + 2, -SPACE_M, -SPACE_XS)
        line = QFontMetrics(option.font).height()
        upper = QRect(room.left(), room.top(), room.width(), line)
        for color in row.colors:
            _swatch(painter, upper.topLeft() + QPoint(0, (line - _SWATCH_PX) // 2), color, t.control)
            upper.setLeft(upper.left() + _SWATCH_PX + SPACE_XS)
        if row.colors:
            upper.setLeft(upper.left() + SPACE_XS)
        painter.setPen(t.text)
        painter.setFont(option.font)
        painter.drawText(upper, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, row.value)
        upper.setRight(upper.right() - painter.fontMetrics().horizontalAdvance(row.value) - SPACE_S)
        _draw_elided(painter, upper, row.title)
        top = room.top() + line
        if row.bar is not None:
            bar = QRectF(room.left(), top + SPACE_XS, room.width(), _BAR_PX)
            track = QColor(t.disabled)
            track.setAlphaF(0.35)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(track)
            painter.drawRoundedRect(bar, 2, 2)
            painter.setBrush(t.accent)
            painter.drawRoundedRect(QRectF(bar.left(), bar.top(), bar.width() * min(1.0, row.bar), _BAR_PX), 2, 2)
            top += _BAR_PX + SPACE_XS
        if row.detail:
            painter.setFont(small(option.font))
            painter.setPen(t.muted)
            _draw_elided(painter, QRect(room.left(), top, room.width(), painter.fontMetrics().height()), row.detail)
        painter.restore()


def _draw_elided(painter: QPainter, rect: QRect, text: str) -> None:
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
    painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)


def _swatch(painter: QPainter, place: QPoint, color: Color, outline: QColor) -> None:
    painter.setPen(QPen(outline, 1))
    painter.setBrush(QColor(*color))
    painter.drawRoundedRect(QRectF(place.x() + 0.5, place.y() + 0.5, _SWATCH_PX - 1, _SWATCH_PX - 1), 3, 3)
