"""How the program looks: colours, spacing, and one short style sheet over Qt's Fusion style, light and dark.

Text has a contrast of at least 4.5:1 to what it stands on, borders of controls and focus rings at least 3:1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QAbstractSpinBox, QApplication

from pspnet_studio.assets import resource_path

ThemeChoice = Literal["system", "light", "dark"]

SPACE_XS, SPACE_S, SPACE_M, SPACE_L, SPACE_XL = 4, 8, 12, 16, 24
"""The spacing scale, in logical pixels."""

RADIUS = 6
ICON_PX = 20
"""Icons of tool bars and buttons, in logical pixels."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The colours of one theme, by what they are for."""

    window: QColor
    surface: QColor
    """Lists and fields."""
    raised: QColor
    """Buttons, menus, tool tips."""
    hover: QColor
    text: QColor
    muted: QColor
    """Secondary text."""
    disabled: QColor
    border: QColor
    """Dividing lines: decoration."""
    control: QColor
    """Outlines of controls."""
    accent: QColor
    """Links, focus rings, what is chosen."""
    accent_fill: QColor
    """Filled buttons, under ``on_accent``."""
    accent_hover: QColor
    accent_soft: QColor
    """Background of a chosen row, under ``text``."""
    on_accent: QColor
    good: QColor
    warning: QColor
    error: QColor
    error_soft: QColor
    """Background of a message about an error, under ``text``."""


LIGHT = Tokens(
    window=QColor("#f3f4f6"),
    surface=QColor("#ffffff"),
    raised=QColor("#ffffff"),
    hover=QColor("#e9ebf0"),
    text=QColor("#1a1d23"),
    muted=QColor("#565f6d"),
    disabled=QColor("#9098a5"),
    border=QColor("#dbdee4"),
    control=QColor("#828a97"),
    accent=QColor("#3a56d4"),
    accent_fill=QColor("#3a56d4"),
    accent_hover=QColor("#2f47b8"),
    accent_soft=QColor("#e0e6ff"),
    on_accent=QColor("#ffffff"),
    good=QColor("#177245"),
    warning=QColor("#8a5300"),
    error=QColor("#b3261e"),
    error_soft=QColor("#fdeceb"),
)

DARK = Tokens(
    window=QColor("#1f2227"),
    surface=QColor("#17191d"),
    raised=QColor("#2b2f36"),
    hover=QColor("#31363f"),
    text=QColor("#e7e9ed"),
    muted=QColor("#a3abb8"),
    disabled=QColor("#6b7380"),
    border=QColor("#363b44"),
    control=QColor("#737c8a"),
    accent=QColor("#8fa5ff"),
    accent_fill=QColor("#4a63dd"),
    accent_hover=QColor("#3d55cb"),
    accent_soft=QColor("#2c365c"),
    on_accent=QColor("#ffffff"),
    good=QColor("#62c990"),
    warning=QColor("#efb04c"),
    error=QColor("#ff8a80"),
    error_soft=QColor("#46282a"),
)


def tokens(palette: QPalette) -> Tokens:
    """The colours that belong to a palette: dark ones when its window is dark."""
    return DARK if palette.color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT


def make_palette(t: Tokens) -> QPalette:
    """The palette of a theme."""
    role = QPalette.ColorRole
    palette = QPalette()
    for target, color in {
        role.Window: t.window,
        role.WindowText: t.text,
        role.Base: t.surface,
        role.AlternateBase: t.window,
        role.Text: t.text,
        role.PlaceholderText: t.muted,
        role.Button: t.raised,
        role.ButtonText: t.text,
        role.BrightText: t.on_accent,
        role.ToolTipBase: t.raised,
        role.ToolTipText: t.text,
        role.Highlight: t.accent_fill,
        role.HighlightedText: t.on_accent,
        role.Accent: t.accent,
        role.Link: t.accent,
        role.LinkVisited: t.accent,
        role.Light: t.raised.lighter(110),
        role.Midlight: t.hover,
        role.Mid: t.border,
        role.Dark: t.control,
        role.Shadow: QColor("#000000"),
    }.items():
        palette.setColor(target, color)
    for target in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText, role.ToolTipText):
        palette.setColor(QPalette.ColorGroup.Disabled, target, t.disabled)
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, t.border)
    palette.setColor(QPalette.ColorGroup.Disabled, role.HighlightedText, t.disabled)
    palette.setColor(QPalette.ColorGroup.Disabled, role.Accent, t.disabled)
    return palette


class ThemeManager(QObject):
    """Gives the program its look and follows the desktop when asked to.

    Args:
        app: Gets style, palette and style sheet at once.
        choice: ``system``, ``light`` or ``dark``.

    Signals:
        changed: Another theme is in force; widgets that follow the palette need not listen.
    """

    changed = Signal()

    def __init__(self, app: QApplication, choice: ThemeChoice = "system") -> None:
        super().__init__(app)
        self._app = app
        self._choice: ThemeChoice = choice
        self._applied: Tokens | None = None
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(self._apply)
        self.set_choice(choice)

    @property
    def choice(self) -> ThemeChoice:
        """``system``, ``light`` or ``dark``."""
        return self._choice

    @property
    def tokens(self) -> Tokens:
        """The colours in force."""
        assert self._applied is not None
        return self._applied

    def set_choice(self, choice: ThemeChoice) -> None:
        """Change the theme; takes effect at once."""
        self._choice = choice
        self._app.styleHints().setColorScheme(
            {
                "system": Qt.ColorScheme.Unknown,
                "light": Qt.ColorScheme.Light,
                "dark": Qt.ColorScheme.Dark,
            }[choice]
        )
        self._apply()

    def _apply(self) -> None:
        is_dark = self._choice == "dark" or (
            self._choice == "system" and self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        )
        wanted = DARK if is_dark else LIGHT
        if wanted is self._applied:
            return
        self._applied = wanted
        self._app.setPalette(make_palette(wanted))
        self._app.setStyleSheet(style_sheet(wanted))
        self.changed.emit()


def apply(app: QApplication, choice: ThemeChoice) -> ThemeManager:
    """Give ``app`` a theme; the manager belongs to it and is made at the first call."""
    for child in app.children():
        if isinstance(child, ThemeManager):
            child.set_choice(choice)
            return child
    return ThemeManager(app, choice)


def indent_value(box: QAbstractSpinBox) -> None:
    """Keep the value of a number field off its border: style sheets do not reach the text in it."""
    box.lineEdit().setTextMargins(SPACE_XS, 0, 0, 0)


def style_sheet(t: Tokens) -> str:
    """The style sheet of a theme.

    Buttons take a look by the dynamic property ``look``: ``primary`` (filled), ``compact`` (narrow) or
    ``row`` (of a list, no outline);
    labels: ``muted``, ``title``, ``error``, ``good`` or ``warning``.
    """
    sheet = _SHEET
    for field in fields(Tokens):
        sheet = sheet.replace(f"@{field.name};", f"{getattr(t, field.name).name()};")
    for name in ("down", "up"):
        sheet = sheet.replace(f"@chevron-{name}", resource_path("icons", f"style-chevron-{name}.svg").as_posix())
    sheet = sheet.replace("@check-mark", resource_path("icons", "style-check.svg").as_posix())
    return sheet.replace("@radius", str(RADIUS))


_SHEET = """
QToolTip { color: @text; background-color: @raised; border: 1px solid @control; padding: 4px 6px; }

QPushButton {
  color: @text; background-color: @raised; border: 1px solid @control; border-radius: @radiuspx;
  padding: 5px 12px; min-height: 18px;
}
QPushButton:hover { background-color: @hover; }
QPushButton:pressed { background-color: @border; }
QPushButton:focus { border: 2px solid @accent; padding: 4px 11px; }
QPushButton:disabled { color: @disabled; background-color: @window; border-color: @border; }
QPushButton[look="compact"] { padding: 4px 6px; }
QPushButton[look="compact"]:focus { padding: 3px 5px; }
QPushButton[look="primary"] {
  color: @on_accent; background-color: @accent_fill; border-color: @accent_fill; font-weight: 600; padding: 9px 16px;
}
QPushButton[look="primary"]:hover { background-color: @accent_hover; border-color: @accent_hover; }
QPushButton[look="primary"]:focus { border: 2px solid @text; padding: 8px 15px; }
QDialogButtonBox QPushButton[look="primary"] { padding: 5px 12px; }
QDialogButtonBox QPushButton[look="primary"]:focus { padding: 4px 11px; }
QPushButton[look="row"] { background: transparent; border: 2px solid transparent; padding: 6px; }
QPushButton[look="row"]:hover { background-color: @hover; }
QPushButton[look="row"]:focus { border-color: @accent; }
QPushButton[look="primary"]:disabled { color: @disabled; background-color: @hover; border: 1px solid @border; }

QToolButton {
  color: @text; background: transparent; border: 1px solid transparent; border-radius: @radiuspx; padding: 4px;
}
QToolButton:hover { background-color: @hover; }
QToolButton:pressed { background-color: @border; }
QToolButton:checked { background-color: @accent_soft; border-color: @accent; }
QToolButton:focus { border: 2px solid @accent; padding: 3px; }
QToolButton:disabled { color: @disabled; }
QToolButton::menu-indicator { image: none; }
QToolButton[look="disclosure"] { color: @muted; border: none; padding: 2px 0; font-weight: 600; }
QToolButton[look="disclosure"]:checked { background: transparent; }
QToolButton[look="disclosure"]:hover { color: @text; background: transparent; }
QToolButton[look="disclosure"]:focus { color: @accent; border: none; padding: 2px 0; }

QLineEdit, QAbstractSpinBox, QComboBox {
  color: @text; background-color: @surface; border: 1px solid @control; border-radius: @radiuspx;
  padding: 3px 7px; min-height: 20px;
  placeholder-text-color: @muted; selection-background-color: @accent_fill; selection-color: @on_accent;
}
QLineEdit:focus, QAbstractSpinBox:focus, QComboBox:focus { border: 2px solid @accent; padding: 2px 6px; }
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled {
  color: @disabled; placeholder-text-color: @disabled; border-color: @border;
}
QLineEdit[isWrong="true"] { border: 2px solid @error; padding: 2px 6px; }
QComboBox::drop-down { border: none; width: 20px; }
QComboBox::down-arrow { image: url(@chevron-down); width: 14px; height: 14px; }
QComboBox QAbstractItemView {
  background-color: @raised; border: 1px solid @control; outline: none; padding: 2px;
  selection-background-color: @accent_soft; selection-color: @text;
}
QAbstractSpinBox { padding-right: 18px; }
QAbstractSpinBox:focus { padding-right: 17px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: none; width: 16px; }
QAbstractSpinBox::up-arrow { image: url(@chevron-up); width: 11px; height: 11px; }
QAbstractSpinBox::down-arrow { image: url(@chevron-down); width: 11px; height: 11px; }
QAbstractSpinBox QLineEdit { border: none; padding: 0 0 0 5px; background: transparent; min-height: 0; }

QCheckBox, QRadioButton { spacing: 7px; }
QCheckBox::indicator, QRadioButton::indicator {
  width: 14px; height: 14px; background-color: @surface; border: 1px solid @control;
}
QCheckBox::indicator { border-radius: 4px; }
QRadioButton::indicator { border-radius: 8px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: @accent; }
QCheckBox::indicator:focus, QRadioButton::indicator:focus { border: 2px solid @accent; width: 12px; height: 12px; }
QCheckBox::indicator:checked {
  background-color: @accent_fill; border-color: @accent_fill; image: url(@check-mark);
}
QRadioButton::indicator:checked { width: 6px; height: 6px; border: 5px solid @accent_fill; background-color: #ffffff; }
QRadioButton::indicator:checked:focus { border-color: @accent; }

QAbstractScrollArea { border: none; }
QListView, QTableView { background-color: @surface; outline: none; }
QListView QLineEdit { border-radius: 3px; padding: 0 4px; min-height: 0; }

QHeaderView { background-color: @surface; border: none; }
QHeaderView::section { color: @muted; background-color: @surface; border: none; padding: 2px 4px; }
QHeaderView::section:checked { color: @text; font-weight: 600; }
QTableCornerButton::section { background-color: @surface; border: none; }

QScrollBar { background: transparent; border: none; margin: 0; }
QScrollBar:vertical { width: 11px; }
QScrollBar:horizontal { height: 11px; }
QScrollBar::handle { background-color: @control; border-radius: 2px; margin: 3px; }
QScrollBar::handle:hover { background-color: @muted; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {
  background: transparent; border: none; width: 0; height: 0;
}

QSlider::groove:horizontal { height: 4px; background-color: @border; border-radius: 2px; }
QSlider::sub-page:horizontal { background-color: @accent; border-radius: 2px; }
QSlider::handle:horizontal {
  width: 12px; height: 12px; margin: -5px 0; border-radius: 7px;
  background-color: @raised; border: 1px solid @control;
}
QSlider::handle:horizontal:hover { border-color: @accent; }
QSlider::handle:horizontal:focus { border: 2px solid @accent; width: 10px; height: 10px; }
QSlider::sub-page:horizontal:disabled { background-color: @border; }

QProgressBar {
  color: transparent; background-color: @border; border: none; border-radius: 3px; max-height: 6px; min-height: 6px;
}
QProgressBar::chunk { background-color: @accent; border-radius: 3px; }

QMenu { color: @text; background-color: @raised; border: 1px solid @control; padding: 4px; }
QMenu::item { padding: 5px 22px 5px 10px; border-radius: 4px; }
QMenu::item:selected { background-color: @accent_soft; color: @text; }
QMenu::item:disabled { color: @disabled; }
QMenu::icon { padding-left: 8px; }
QMenu::separator { height: 1px; background-color: @border; margin: 4px 6px; }
QMenuBar { background-color: @window; color: @text; }
QMenuBar::item { background: transparent; padding: 4px 9px; border-radius: 4px; }
QMenuBar::item:selected { background-color: @hover; }

QToolBar { background-color: @window; border: none; border-bottom: 1px solid @border; spacing: 2px; padding: 3px 6px; }
QToolBar::separator:horizontal { width: 1px; background-color: @border; margin: 5px 6px; }
QToolBar::separator:vertical { height: 1px; background-color: @border; margin: 3px 5px; }
QToolBar#toolPalette { spacing: 0; padding: 2px 6px; }
QToolButton#qt_toolbar_ext_button {
  background-color: @hover; border-color: @control; image: url(@chevron-down); padding: 0;
}
QStatusBar { background-color: @window; border-top: 1px solid @border; }
QStatusBar::item { border: none; }
QDockWidget { font-weight: 600; }
QDockWidget::title { background-color: @window; padding: 7px 10px 5px 10px; border-top: 1px solid @border; }
QDockWidget > QWidget { font-weight: 400; }
QMainWindow::separator { background-color: @border; width: 1px; height: 1px; }
QMainWindow::separator:hover { background-color: @accent; }
QTabBar::tab { color: @muted; background: transparent; padding: 6px 12px; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: @text; border-bottom-color: @accent; }

QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QLabel { background: transparent; }
QLabel[look="chip"] { color: #ffffff; background-color: rgba(0, 0, 0, 170); border-radius: 4px; padding: 2px 8px; }
QLabel[look="muted"] { color: @muted; }
QLabel[look="title"] { font-weight: 600; }
QLabel[look="error"] { color: @error; }
QLabel[look="good"] { color: @good; }
QLabel[look="warning"] { color: @warning; }
QFrame[look="notice"], QFrame[look="alarm"] { border-radius: @radiuspx; }
QFrame[look="alarm"] { background-color: @error_soft; border: 2px solid @error; }
QFrame[look="notice"] { background-color: @accent_soft; border: 1px solid @accent; }
QFrame[look="card"] { background-color: @surface; border: 1px solid @border; border-radius: @radiuspx; }
"""
