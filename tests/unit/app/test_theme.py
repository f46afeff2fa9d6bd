"""Light and dark are readable, and a choice takes effect at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from pspnet_studio import theme
from pspnet_studio.theme import DARK, LIGHT, Tokens

TEXTS = ("text", "muted", "accent", "good", "warning", "error")
GROUNDS = ("window", "surface", "raised", "hover", "accent_soft", "error_soft")


def luminance(color: QColor) -> float:
    """Relative luminance. Source: WCAG 2.2."""

    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF())


def contrast(a: QColor, b: QColor) -> float:
    """Contrast ratio. Source: WCAG 2.2."""
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture
def app(qapp: QApplication) -> Iterator[QApplication]:
    palette, style, sheet = qapp.palette(), qapp.style().objectName(), qapp.styleSheet()
    yield qapp
    for child in qapp.children():
        if isinstance(child, theme.ThemeManager):
            qapp.styleHints().colorSchemeChanged.disconnect(child._apply)
            child.setParent(None)
    qapp.styleHints().unsetColorScheme()
    qapp.setStyle(style)
    qapp.setStyleSheet(sheet)
    qapp.setPalette(palette)


@pytest.mark.parametrize("t", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_readable_on_every_ground(t: Tokens) -> None:
    ratios = {(f, b): contrast(getattr(t, f), getattr(t, b)) for f in TEXTS for b in GROUNDS}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}
    assert contrast(t.on_accent, t.accent_fill) >= 4.5
    assert contrast(t.on_accent, t.accent_hover) >= 4.5


@pytest.mark.parametrize("t", [LIGHT, DARK], ids=["light", "dark"])
def test_controls_and_focus_rings_stand_out(t: Tokens) -> None:
    for ground in (t.window, t.surface, t.raised):
        assert contrast(t.control, ground) >= 3
        assert contrast(t.accent, ground) >= 3


@pytest.mark.parametrize("t", [LIGHT, DARK], ids=["light", "dark"])
def test_style_sheet_is_filled_in(t: Tokens) -> None:
    sheet = theme.style_sheet(t)
    assert "@" not in sheet
    assert set(re.findall(r"#[0-9a-f]{6}", sheet)) <= {getattr(t, f.name).name() for f in fields(Tokens)} | {"#ffffff"}


def test_choice_takes_effect_at_once_and_keeps_one_manager(app: QApplication) -> None:
    manager = theme.apply(app, "dark")
    changes: list[Tokens] = []
    manager.changed.connect(lambda: changes.append(manager.tokens))
    assert theme.tokens(app.palette()) is DARK
    assert theme.apply(app, "light") is manager
    assert theme.tokens(app.palette()) is LIGHT
    assert app.palette().color(QPalette.ColorRole.Window) == LIGHT.window
    assert changes == [LIGHT]
    assert LIGHT.accent.name() in app.styleSheet()
