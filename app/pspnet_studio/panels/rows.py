"""How the rows of the image list and the class list are painted."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from pspnet_core.project.project import Status
from pspnet_studio.assets import pixmap
from pspnet_studio.messages import tr
from pspnet_studio.model.lists import ItemRole, share_text, status_text
from pspnet_studio.panels.share_bar import BAR_PX, draw_gain, draw_shares
from pspnet_studio.panels.thumbnails import THUMBNAIL_PX
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS, Tokens, tokens

_Index = QModelIndex | QPersistentModelIndex
_MARKER_PX = 3

STATUS_ICONS = {
    Status.NEW: "new",
    Status.IN_PROGRESS: "in-progress",
    Status.DONE: "done",
    Status.SKIPPED: "skipped",
}


def status_color(status: Status, t: Tokens) -> QColor:
    """Colour of a status; it always comes with an icon and a word."""
    return {Status.IN_PROGRESS: t.accent, Status.DONE: t.good}.get(status, t.muted)


def draw_icon(painter: QPainter, name: str, rect: QRect, color: QColor) -> None:
    """An icon in a square."""
    ratio = painter.device().devicePixelRatio()
    painter.drawPixmap(rect, pixmap(name, rect.width(), color, ratio))


def draw_row_background(painter: QPainter, option: QStyleOptionViewItem, is_current: bool) -> None:
    """Chosen rows have a tint and a bar at the left; the row with the keyboard has a ring."""
    from PySide6.QtWidgets import QStyle  # PySide needs 16 ms to make this class: not before a row is painted

    t, rect, state = tokens(option.palette), option.rect, option.state
    if is_current:
        painter.fillRect(rect, t.accent_soft)
        painter.fillRect(QRect(rect.left(), rect.top(), _MARKER_PX, rect.height()), t.accent)
    elif state & QStyle.StateFlag.State_MouseOver:
        painter.fillRect(rect, t.hover)
    if state & QStyle.StateFlag.State_HasFocus and state & QStyle.StateFlag.State_KeyboardFocusChange:
        painter.setPen(QPen(t.accent, 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(rect).adjusted(1, 1, -1, -1), 3, 3)


def small(font: QFont) -> QFont:
    """The same font, for secondary text."""
    result = QFont(font)
    if font.pointSizeF() > 0:
        result.setPointSizeF(font.pointSizeF() * 0.9)
    return result


def _bold(font: QFont) -> QFont:
    result = QFont(font)
    result.setWeight(QFont.Weight.DemiBold)
    return result


class ItemDelegate(QStyledItemDelegate):
    """A row of the image list: thumbnail, name, folder, status in icon and word, labelled share by origin.

    Args:
        current_key: Gives the key of the open image, whose row is marked.
    """

    def __init__(self, parent: QWidget, current_key: Callable[[], str | None]) -> None:
        super().__init__(parent)
        self._current_key = current_key

    def row_height(self, font: QFont) -> int:
        """Height of every row, in logical pixels."""
        text_height = QFontMetrics(font).height() + 2 * QFontMetrics(small(font)).height()
        return max(THUMBNAIL_PX, text_height + BAR_PX + 2 * SPACE_XS) + 2 * SPACE_S

    def sizeHint(self, option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(220, self.row_height(option.font))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        t = tokens(option.palette)
        is_current = index.data(ItemRole.KEY) == self._current_key()
        draw_row_background(painter, option, is_current)
        rect = option.rect.adjusted(SPACE_M, SPACE_S, -SPACE_M, -SPACE_S)
        picture = QRect(rect.left(), rect.center().y() - THUMBNAIL_PX // 2 + 1, THUMBNAIL_PX, THUMBNAIL_PX)
        self._draw_thumbnail(painter, picture, index.data(ItemRole.THUMBNAIL), t)
        rect.setLeft(picture.right() + SPACE_M)
        self._draw_text(painter, rect, option.font, index, t, is_current)
        painter.restore()

    def _draw_thumbnail(self, painter: QPainter, rect: QRect, thumbnail: object, t: Tokens) -> None:
        path = QPainterPath()
        path.addRoundedRect(QRectF(rect), 4, 4)
        if isinstance(thumbnail, QPixmap):
            painter.save()
            painter.setClipPath(path)
            painter.drawPixmap(rect, thumbnail)
            painter.restore()
            return
        painter.fillPath(path, t.hover)
        icon = QRect(0, 0, 24, 24)
        icon.moveCenter(rect.center())
        if thumbnail is None:
            draw_icon(painter, "image", icon, t.disabled)
        else:
            draw_icon(painter, "warning", icon, t.error)

    def _draw_text(
        self, painter: QPainter, rect: QRect, font: QFont, index: _Index, t: Tokens, is_current: bool
    ) -> None:
        name_font, small_font = (_bold(font) if is_current else font), small(font)
        name_height, line = QFontMetrics(name_font).height(), QFontMetrics(small_font).height()
        folder, status, share = (index.data(role) for role in (ItemRole.FOLDER, ItemRole.STATUS, ItemRole.SHARE))
        status = Status(status)  # Qt hands a plain str back
        height = name_height + (line if folder else 0) + line + 2 * SPACE_XS + BAR_PX
        top = rect.center().y() - height // 2 + 1
        painter.setFont(name_font)
        painter.setPen(t.text)
        _draw_elided(painter, QRect(rect.left(), top, rect.width(), name_height), index.data(ItemRole.NAME))
        top += name_height
        painter.setFont(small_font)
        if folder:
            painter.setPen(t.muted)
            _draw_elided(painter, QRect(rect.left(), top, rect.width(), line), folder)
            top += line
        top += SPACE_XS
        self._draw_status(painter, QRect(rect.left(), top, rect.width(), line), index, status, share, t)
        bar = QRect(rect.left(), top + line + SPACE_XS, rect.width(), BAR_PX)
        if suggestion := index.data(ItemRole.SUGGESTION):  # next to nothing of it is labelled
            draw_gain(painter, bar, suggestion.gain, t)
        else:
            draw_shares(painter, bar, share, index.data(ItemRole.PAINTED), index.data(ItemRole.ACCEPTED), t)

    def _draw_status(
        self, painter: QPainter, rect: QRect, index: _Index, status: Status, share: float, t: Tokens
    ) -> None:
        right = tr("imported") if index.data(ItemRole.IMPORTED) else share_text(share)
        if not isinstance(index.data(ItemRole.THUMBNAIL), (QPixmap, type(None))):
            painter.setPen(t.error)
            _draw_elided(painter, rect, tr("Cannot be read"), Qt.TextElideMode.ElideRight)
            return
        icon_px = rect.height()
        draw_icon(
            painter, STATUS_ICONS[status], QRect(rect.left(), rect.top(), icon_px, icon_px), status_color(status, t)
        )
        if suggestion := index.data(ItemRole.SUGGESTION):
            painter.setPen(t.text)
            text = tr("{place}. {reason}").format(place=suggestion.place, reason=suggestion.text)
            _draw_elided(painter, rect.adjusted(icon_px + SPACE_XS, 0, 0, 0), text, Qt.TextElideMode.ElideRight)
            return
        painter.setPen(t.muted)
        painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, right)
        painter.setPen(status_color(status, t))
        room = rect.adjusted(icon_px + SPACE_XS, 0, -painter.fontMetrics().horizontalAdvance(right) - SPACE_S, 0)
        _draw_elided(painter, room, status_text(status), Qt.TextElideMode.ElideRight)


class ClassPart(Enum):
    """What lies under the mouse in a row of the class list."""

    NAME = "name"
    SWATCH = "swatch"
    EYE = "eye"
    LOCK = "lock"


class ClassRole:
    """Data roles of the class list."""

    INDEX = Qt.ItemDataRole.UserRole.value + 1
    COLOR = Qt.ItemDataRole.UserRole.value + 2
    VISIBLE = Qt.ItemDataRole.UserRole.value + 3
    DIGIT = Qt.ItemDataRole.UserRole.value + 4
    ACTIVE = Qt.ItemDataRole.UserRole.value + 5
    LOCKED = Qt.ItemDataRole.UserRole.value + 6


class ClassDelegate(QStyledItemDelegate):
    """A row of the class list: colour, name, digit, lock, eye; the one that is painted with has a brush, too."""

    _SWATCH_PX = 20
    _ICON_PX = 18

    def sizeHint(self, option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(160, max(36, QFontMetrics(option.font).height() + 2 * SPACE_S))

    def part_at(self, rect: QRect, pos: QPoint) -> ClassPart:
        """What lies at ``pos`` in a row whose rectangle is ``rect``."""
        if self._eye_rect(rect).adjusted(-SPACE_XS, -SPACE_S, SPACE_M, SPACE_S).contains(pos):
            return ClassPart.EYE
        if self._lock_rect(rect).adjusted(-SPACE_XS, -SPACE_S, SPACE_XS, SPACE_S).contains(pos):
            return ClassPart.LOCK
        if self._swatch_rect(rect).adjusted(-SPACE_XS, -SPACE_XS, SPACE_XS, SPACE_XS).contains(pos):
            return ClassPart.SWATCH
        return ClassPart.NAME

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        t, rect = tokens(option.palette), option.rect
        is_active, is_visible = bool(index.data(ClassRole.ACTIVE)), bool(index.data(ClassRole.VISIBLE))
        draw_row_background(painter, option, is_active)
        self._draw_swatch(painter, self._swatch_rect(rect), index.data(ClassRole.COLOR), t, is_visible)
        draw_icon(painter, "eye" if is_visible else "eye-off", self._eye_rect(rect), t.muted)
        is_locked = bool(index.data(ClassRole.LOCKED))
        draw_icon(
            painter, "lock" if is_locked else "lock-open", self._lock_rect(rect), t.text if is_locked else t.disabled
        )
        name = self._name_rect(rect)
        if digit := index.data(ClassRole.DIGIT):
            key = QRect(self._lock_rect(rect).left() - SPACE_S - 18, rect.center().y() - 8, 18, 18)
            self._draw_key(painter, key, digit, option.font, t)
        if is_active:
            icon = QRect(name.right() - self._ICON_PX, rect.center().y() - 8, self._ICON_PX, self._ICON_PX)
            draw_icon(painter, "brush", icon, t.accent)
            name.setRight(icon.left() - SPACE_XS)
        painter.setFont(_bold(option.font) if is_active else option.font)
        painter.setPen(t.text if is_visible else t.muted)
        _draw_elided(painter, name, index.data(Qt.ItemDataRole.DisplayRole))
        painter.restore()

    def _draw_swatch(self, painter: QPainter, rect: QRect, color: QColor, t: Tokens, is_visible: bool) -> None:
        painter.setPen(QPen(t.control, 1))
        painter.setBrush(color if is_visible else Qt.BrushStyle.NoBrush)
        inside = QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(inside, 5, 5)
        if not is_visible:
            painter.setPen(QPen(color, 3))
            painter.drawRoundedRect(inside.adjusted(2, 2, -2, -2), 3, 3)

    def _draw_key(self, painter: QPainter, rect: QRect, digit: str, font: QFont, t: Tokens) -> None:
        painter.setPen(QPen(t.control, 1))
        painter.setBrush(t.window)
        painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.setPen(t.muted)
        painter.setFont(small(font))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, digit)

    def _swatch_rect(self, rect: QRect) -> QRect:
        side = self._SWATCH_PX
        return QRect(rect.left() + SPACE_M, rect.center().y() - side // 2 + 1, side, side)

    def _eye_rect(self, rect: QRect) -> QRect:
        side = self._ICON_PX
        return QRect(rect.right() - SPACE_M - side, rect.center().y() - side // 2 + 1, side, side)

    def _lock_rect(self, rect: QRect) -> QRect:
        eye = self._eye_rect(rect)
        return eye.translated(-eye.width() - SPACE_S, 0)

    def _name_rect(self, rect: QRect) -> QRect:
        left = self._swatch_rect(rect).right() + SPACE_M
        right = self._lock_rect(rect).left() - 18 - 2 * SPACE_S
        return QRect(left, rect.top(), right - left, rect.height())

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: _Index) -> QWidget:
        editor = super().createEditor(parent, option, index)
        editor.setAccessibleName(tr("Class name"))
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: _Index) -> None:
        editor.setGeometry(self._name_rect(option.rect).adjusted(-6, 5, 0, -4))


def _draw_elided(
    painter: QPainter, rect: QRect, text: str, mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle
) -> None:
    shown = painter.fontMetrics().elidedText(text, mode, rect.width())
    painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
