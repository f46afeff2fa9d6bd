"""Resources are found and icons follow size, pixel ratio and palette."""

from __future__ import annotations

import gc
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QImage, QPalette, QPixmap
from PySide6.QtWidgets import QApplication

from pspnet_studio import assets

pytestmark = pytest.mark.usefixtures("qapp")

ICONS = sorted(path.stem for path in assets.resource_path("icons").glob("*.svg"))
DRAWN_IN_CURRENT_COLOR = [name for name in ICONS if name != "app" and not name.startswith("style-")]


def colors_in(picture: QPixmap) -> set[str]:
    """Colours of the opaque pixels."""
    image = picture.toImage().convertToFormat(QImage.Format.Format_ARGB32)
    return {
        image.pixelColor(x, y).name()
        for x in range(image.width())
        for y in range(image.height())
        if image.pixelColor(x, y).alpha() == 255
    }


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_draws_something(name: str) -> None:
    assert colors_in(assets.icon(name).pixmap(QSize(48, 48), 1.0))


@pytest.mark.parametrize("name", DRAWN_IN_CURRENT_COLOR)
def test_icons_are_of_one_family(name: str) -> None:
    root = ET.fromstring(assets.resource_path("icons", f"{name}.svg").read_bytes())
    assert root.get("viewBox") == "0 0 24 24"
    assert root.get("stroke") == "currentColor"
    assert root.get("stroke-width") == "1.75"
    assert root.get("stroke-linecap") == root.get("stroke-linejoin") == "round"


def test_icon_of_unknown_name_says_so() -> None:
    with pytest.raises(FileNotFoundError, match="nonsense"):
        assets.icon("nonsense")


def test_icon_has_all_pixels_of_a_sharp_screen() -> None:
    picture = assets.icon("brush").pixmap(QSize(24, 24), 2.0)
    assert picture.size() == QSize(48, 48)
    assert picture.devicePixelRatio() == 2.0


def test_icon_follows_the_palette() -> None:
    icon = assets.icon("plus")
    before = QApplication.palette()
    try:
        for color in ("#ff0000", "#0000ff"):
            palette = QPalette(before)
            palette.setColor(QPalette.ColorRole.WindowText, QColor(color))
            QApplication.setPalette(palette)
            assert colors_in(icon.pixmap(QSize(32, 32), 1.0)) == {color}
    finally:
        QApplication.setPalette(before)


def test_checked_and_disabled_icons_look_different() -> None:
    icon = assets.icon("stop", QColor("#112233"), QColor("#445566"))
    assert colors_in(icon.pixmap(QSize(64, 64), 1.0)) == {"#112233"}
    on = icon.pixmap(QSize(64, 64), 1.0, QIcon.Mode.Normal, QIcon.State.On)
    assert colors_in(on) == {"#445566"}
    disabled = icon.pixmap(QSize(64, 64), 1.0, QIcon.Mode.Disabled, QIcon.State.Off)
    palette = QApplication.palette()
    expected = palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.WindowText)
    assert disabled.toImage() != icon.pixmap(QSize(64, 64), 1.0).toImage()
    assert colors_in(disabled) <= {expected.name()}


def test_changing_a_copy_leaves_the_icon_alone() -> None:
    icon = assets.icon("eye")
    for _ in range(20):
        copy = QIcon(icon)
        copy.addPixmap(QPixmap(4, 4))
        assert not copy.pixmap(QSize(16, 16), 1.0).isNull()
        del copy
        gc.collect()
    assert colors_in(icon.pixmap(QSize(32, 32), 1.0))


def test_frozen_program_finds_its_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pspnet_studio" / "resources" / "icons").mkdir(parents=True)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert assets.resource_folder() == tmp_path / "pspnet_studio" / "resources"


def test_making_icons_draws_nothing_and_loads_no_svg() -> None:
    code = (
        "import sys; from PySide6.QtWidgets import QApplication; app = QApplication([]);"
        "from pspnet_studio import assets; i = assets.icon('brush');"
        "assert 'PySide6.QtSvg' not in sys.modules;"
        "i.pixmap(16, 16); assert 'PySide6.QtSvg' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
