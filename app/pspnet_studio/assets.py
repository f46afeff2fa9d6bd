"""Where resources are, in a wheel, a checkout and a frozen program; icons that follow the palette.

Nothing is read or drawn before it is shown: an icon is an engine that knows its file, and draws at the size, pixel
ratio and colour in which it is asked for.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QIconEngine, QPainter, QPalette, QPixmap

IconColor = QPalette.ColorRole | QColor
_MAX_CACHED_PIXMAPS = 512


def resource_folder() -> Path:
    """The folder ``resources``.

    Raises:
        FileNotFoundError: The installation is incomplete; the message names the places looked at.
    """
    return _resource_folder(getattr(sys, "_MEIPASS", None))


@lru_cache(maxsize=2)
def _resource_folder(frozen_root: str | None) -> Path:
    here = Path(__file__).resolve().parent
    places = [here / "resources", here.parents[1] / "resources"]
    if frozen_root is not None:
        places = [Path(frozen_root) / "pspnet_studio" / "resources", Path(frozen_root) / "resources", *places]
    for place in places:
        if (place / "icons").is_dir():
            return place
    raise FileNotFoundError(f"The folder 'resources' is missing; looked at: {', '.join(map(str, places))}")


def resource_path(*parts: str) -> Path:
    """Path of a resource; it need not exist. Raises: FileNotFoundError, as :func:`resource_folder`."""
    return resource_folder().joinpath(*parts)


def icon(
    name: str,
    color: IconColor = QPalette.ColorRole.WindowText,
    on_color: IconColor = QPalette.ColorRole.Accent,
) -> QIcon:
    """The icon ``resources/icons/<name>.svg``, drawn in a colour of the program's palette.

    Args:
        name: File name without suffix.
        color: A palette role (follows light, dark and disabled) or a fixed colour; for ``currentColor``.
        on_color: The same, while the button or action is checked.

    Raises:
        FileNotFoundError: There is no such icon.
    """
    path = resource_path("icons", f"{name}.svg")
    if not path.is_file():
        raise FileNotFoundError(f"There is no icon named {name!r} in {path.parent}")
    return QIcon(_SvgEngine(name, color, on_color))


def pixmap(name: str, size_px: int, color: QColor, ratio: float = 1.0) -> QPixmap:
    """The icon ``name`` as a square pixmap of ``size_px`` logical pixels in one colour, cached."""
    return _render(name, QSize(size_px, size_px) * ratio, ratio, color.rgba())


def app_icon() -> QIcon:
    """The program's own icon, in its own colours."""
    return icon("app")


@lru_cache(maxsize=128)
def _svg_source(name: str) -> bytes:
    return resource_path("icons", f"{name}.svg").read_bytes()


@lru_cache(maxsize=_MAX_CACHED_PIXMAPS)
def _render(name: str, size_px: QSize, ratio: float, rgba: int) -> QPixmap:
    """``size_px`` counts device pixels."""
    from PySide6.QtSvg import QSvgRenderer  # only when the first icon is drawn

    color = QColor.fromRgba(rgba)
    source = _svg_source(name).replace(b"currentColor", color.name().encode())
    picture = QPixmap(size_px)
    picture.fill(Qt.GlobalColor.transparent)
    renderer = QSvgRenderer(QByteArray(source))
    renderer.setAspectRatioMode(Qt.AspectRatioMode.KeepAspectRatio)
    painter = QPainter(picture)
    painter.setOpacity(color.alphaF())
    renderer.render(painter, QRectF(0, 0, size_px.width(), size_px.height()))
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


_clones: list[QIconEngine] = []


class _SvgEngine(QIconEngine):
    """Draws one SVG file in the colour that the palette has at that moment."""

    def __init__(self, name: str, color: IconColor, on_color: IconColor) -> None:
        super().__init__()
        self._name = name
        self._color = color
        self._on_color = on_color

    def _rgba(self, mode: QIcon.Mode, state: QIcon.State) -> int:
        color = self._on_color if state == QIcon.State.On else self._color
        palette = QGuiApplication.palette()
        if mode == QIcon.Mode.Disabled:
            role = color if isinstance(color, QPalette.ColorRole) else QPalette.ColorRole.WindowText
            return palette.color(QPalette.ColorGroup.Disabled, role).rgba()
        if isinstance(color, QPalette.ColorRole):
            return palette.color(QPalette.ColorGroup.Active, color).rgba()
        return color.rgba()

    def clone(self) -> QIconEngine:
        # Qt asks for this when a shared icon is changed. It then owns the copy, but PySide frees it with its
        # last Python reference (seen with 6.12: a crash), so one is kept; nothing in the program changes an icon.
        copy = _SvgEngine(self._name, self._color, self._on_color)
        _clones.append(copy)
        return copy

    def key(self) -> str:
        return "pspnet-studio-svg"

    def iconName(self) -> str:  # noqa: N802
        return self._name

    def isNull(self) -> bool:  # noqa: N802
        return False

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        picture = self.scaledPixmap(rect.size(), mode, state, painter.device().devicePixelRatio())
        painter.drawPixmap(QRectF(rect), picture, QRectF(picture.rect()))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(  # noqa: N802
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        # Since Qt 6.8 the size counts logical pixels, and the scale is the ratio of the screen.
        if size.isEmpty():
            return QPixmap()
        return _render(self._name, size * scale, scale, self._rgba(mode, state))
