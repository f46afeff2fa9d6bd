"""The list of images: following, choosing, filtering, statuses, thumbnails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap
from PySide6.QtWidgets import QComboBox, QLabel, QLineEdit, QMenu, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Item, Status
from pspnet_studio.jobs.thumbnails import ThumbnailRequests, thumbnails
from pspnet_studio.model.lists import ItemRole
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.images import ImagesPanel
from pspnet_studio.panels.share_bar import BAR_PX, draw_shares
from pspnet_studio.panels.thumbnails import ThumbnailCache
from pspnet_studio.theme import LIGHT
from tests.helpers.fakes import FakeProject, FakeSession

KEYS = ["a/img1.jpg", "a/img2.jpg", "b/img3.jpg", "b/img10.jpg"]


@pytest.fixture
def session() -> FakeSession:
    return FakeSession(FakeProject(KEYS))


@pytest.fixture
def panel(session: FakeSession, qtbot: QtBot) -> ImagesPanel:
    panel = ImagesPanel(session)
    qtbot.addWidget(panel)
    panel.resize(280, 700)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def words(panel: ImagesPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label.isVisible()]


def click_row(panel: ImagesPanel, qtbot: QtBot, row: int, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
    pos = panel.view.visualRect(panel.shown.index(row)).center()
    qtbot.mouseClick(panel.view.viewport(), button, pos=pos)


def filter_by(panel: ImagesPanel, text: str) -> None:
    box = panel.findChild(QComboBox)
    assert box is not None
    box.setCurrentText(text)


def test_session_learns_the_order_at_once_and_after_every_change(
    panel: ImagesPanel, session: FakeSession, qtbot: QtBot
) -> None:
    assert session.orders[-1] == KEYS
    search = panel.findChild(QLineEdit)
    assert search is not None
    qtbot.keyClicks(search, "b")
    qtbot.keyClick(search, Qt.Key.Key_Return)
    assert session.orders[-1] == ["b/img3.jpg", "b/img10.jpg"]
    assert "2 of 4 images · 0 done" in words(panel)


def test_typing_is_enough_to_filter(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    search = panel.findChild(QLineEdit)
    assert search is not None
    qtbot.keyClicks(search, "img10")
    qtbot.waitUntil(lambda: session.orders[-1] == ["b/img10.jpg"], timeout=2000)


def test_click_opens_the_image(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    click_row(panel, qtbot, 2)
    assert session.visited == ["b/img3.jpg"]


def test_arrow_keys_open_the_next_image(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    session.go_to(KEYS[0])
    qtbot.keyClick(panel.view, Qt.Key.Key_Down)
    assert session.visited == KEYS[:2]


def test_end_and_home_go_to_the_ends_of_the_list(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    session.go_to(KEYS[1])
    qtbot.keyClick(panel.view, Qt.Key.Key_End)
    qtbot.keyClick(panel.view, Qt.Key.Key_Home)
    assert session.visited[1:] == [KEYS[3], KEYS[0]]


def test_rows_have_room_for_thumbnail_and_a_large_font(panel: ImagesPanel) -> None:
    small = panel.view.rowHeight(0)
    assert small >= 68
    font = panel.font()
    font.setPointSize(40)
    panel.view.setFont(font)
    assert panel.view.rowHeight(0) > small


def test_list_follows_the_session_without_opening_anything(panel: ImagesPanel, session: FakeSession) -> None:
    session.go_to(KEYS[3])
    assert panel.view.currentIndex().data(ItemRole.KEY) == KEYS[3]
    assert session.visited == [KEYS[3]]


def test_filter_that_hides_rows_opens_nothing(panel: ImagesPanel, session: FakeSession) -> None:
    session.go_to(KEYS[0])
    session.change(KEYS[1], status=Status.DONE)
    filter_by(panel, "Done")
    assert session.visited == [KEYS[0]]
    assert session.orders[-1] == [KEYS[0], KEYS[1]], "the open image stays in reach"
    session.change(KEYS[1], status=Status.NEW)
    assert session.visited == [KEYS[0]]


def test_nothing_matches_says_so_and_leads_back(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    filter_by(panel, "Skipped")
    assert "No image matches" in words(panel)
    button = next(b for b in panel.findChildren(QPushButton) if b.isVisible())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert session.orders[-1] == KEYS


def test_without_project_it_says_what_to_do(qtbot: QtBot) -> None:
    panel = ImagesPanel(FakeSession(None))
    qtbot.addWidget(panel)
    empty = panel.findChild(EmptyState)
    assert empty is not None
    assert "Ctrl+O" in empty.words
    search = panel.findChild(QLineEdit)
    assert search is not None
    assert not search.isEnabled()


def test_another_project_starts_without_filter(panel: ImagesPanel, session: FakeSession) -> None:
    filter_by(panel, "Skipped")
    session.open(FakeProject(["x.jpg"]))
    assert session.orders[-1] == ["x.jpg"]
    assert "1 image · 0 done" in words(panel)


def test_context_menu_sets_the_status_without_opening(panel: ImagesPanel, session: FakeSession, qtbot: QtBot) -> None:
    click_row(panel, qtbot, 1, Qt.MouseButton.RightButton)
    panel.show_status_menu(panel.shown.index(1), QPoint(10, 10))
    menu = next(m for m in panel.findChildren(QMenu) if m.isVisible())
    actions = {action.text(): action for action in menu.actions()}
    assert not actions["Mark as new"].isEnabled()
    actions["Mark as done"].trigger()
    menu.close()
    assert session.project is not None
    assert session.project.state(KEYS[1]).status is Status.DONE
    assert session.visited == []
    assert "4 images · 1 done" in words(panel)


def test_sort_menu_changes_the_order(panel: ImagesPanel, session: FakeSession) -> None:
    session.change(KEYS[0], labelled_px=1, total_px=2)
    menu = next(b.menu() for b in panel.findChildren(QToolButton) if b.menu() is not None)
    actions = {action.text(): action for action in menu.actions()}
    actions["By labelled share"].trigger()
    actions["Reverse order"].trigger()
    assert session.orders[-1][0] == KEYS[0]
    actions["By name"].trigger()
    assert session.orders[-1] == KEYS[::-1]


def test_rows_of_every_kind_are_painted(qtbot: QtBot, session: FakeSession) -> None:
    class Pictures(ThumbnailCache):
        def thumbnail(self, key: str) -> QPixmap | PspnetError | None:
            if key == KEYS[0]:
                picture = QPixmap(68, 68)
                picture.fill(QColor("#ff00ff"))
                return picture
            return PspnetError("broken") if key == KEYS[1] else None

    for number, status in enumerate(Status):
        session.change(KEYS[number], status=status, labelled_px=number, total_px=3)
    panel = ImagesPanel(session, Pictures(session))
    qtbot.addWidget(panel)
    panel.resize(280, 700)
    session.go_to(KEYS[2])
    image = panel.grab().toImage()
    colors = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert "#ff00ff" in colors


def test_a_row_with_a_found_mask_says_imported_until_it_is_counted(
    qtbot: QtBot, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr("pspnet_studio.panels.rows.share_text", lambda share: texts.append("share") or "0 %")
    monkeypatch.setattr("pspnet_studio.panels.rows.tr", lambda text: texts.append(text) or text)
    project = session.project
    assert project is not None
    project.items = tuple(replace(item, found_mask=item.image_path.with_suffix(".png")) for item in project.items[:1])
    session.project_changed.emit()
    panel = ImagesPanel(session)
    qtbot.addWidget(panel)
    panel.resize(280, 300)
    panel.grab()
    assert set(texts) == {"imported"}
    session.change(KEYS[0], total_px=3)
    texts.clear()
    panel.grab()
    assert set(texts) == {"share"}


def test_bar_tells_painted_accepted_and_imported_apart_without_colour(qtbot: QtBot) -> None:
    """In full, in stripes, and as a thin line: how many of the rows of pixels, and of the columns, are filled."""
    image = QImage(100, BAR_PX, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    draw_shares(painter, QRect(0, 0, 100, BAR_PX), 0.9, 0.3, 0.3, LIGHT)
    painter.end()
    track = image.pixelColor(95, 2)
    filled = [[image.pixelColor(x, y) != track for x in range(4, 96)] for y in range(BAR_PX)]
    rows = [sum(filled[y][x] for y in range(BAR_PX)) for x in range(92)]
    assert set(rows[:24]) == {BAR_PX}
    assert set(rows[28:54]) == {0, BAR_PX}
    assert max(rows[58:84]) < BAR_PX
    assert min(rows[58:84]) > 0


class TestThumbnails:
    """Reading and remembering small pictures."""

    def test_only_painted_rows_are_read_and_no_row_twice(self, qtbot: QtBot) -> None:
        session = FakeSession(FakeProject([f"img{n}.jpg" for n in range(1000)]))
        panel = ImagesPanel(session)
        qtbot.addWidget(panel)
        panel.resize(280, 700)
        panel.show()
        qtbot.waitExposed(panel)
        panel.grab()
        panel.grab()
        assert len(session.runner.waiting) == 1
        arrived = []
        cache = panel.findChild(ThumbnailCache)
        assert cache is not None
        cache.arrived.connect(arrived.append)
        session.runner.run_all()
        assert 3 <= len(arrived) <= 12
        assert len(set(arrived)) == len(arrived)

    def test_picture_arrives_and_unreadable_file_is_told(self, tmp_path: Path, qtbot: QtBot) -> None:
        Image.new("RGB", (300, 200), (255, 0, 0)).save(tmp_path / "good.png")
        (tmp_path / "bad.png").write_bytes(b"no image")
        session = FakeSession(FakeProject(["good.png", "bad.png"], root=tmp_path))
        cache = ThumbnailCache(session, ratio=2.0)
        assert cache.thumbnail("good.png") is None
        assert cache.thumbnail("bad.png") is None
        session.runner.run_all()
        picture = cache.thumbnail("good.png")
        assert isinstance(picture, QPixmap)
        assert picture.width() == picture.height() >= 136
        assert picture.toImage().pixelColor(20, 20).name() == "#ff0000"
        assert isinstance(cache.thumbnail("bad.png"), PspnetError)
        assert session.runner.waiting == []

    def test_least_recently_seen_is_dropped(self, tmp_path: Path, qtbot: QtBot) -> None:
        keys = [f"{n}.png" for n in range(4)]
        for key in keys:
            Image.new("RGB", (68, 68)).save(tmp_path / key)
        session = FakeSession(FakeProject(keys, root=tmp_path))
        cache = ThumbnailCache(session, cache_bytes=2 * 68 * 68 * 4)
        for key in keys[:2]:
            cache.thumbnail(key)
            session.runner.run_all()
        assert cache.thumbnail(keys[0]) is not None
        cache.thumbnail(keys[2])
        session.runner.run_all()
        assert cache.thumbnail(keys[0]) is not None
        assert cache.thumbnail(keys[1]) is None

    def test_another_project_forgets_pictures(self, tmp_path: Path, qtbot: QtBot) -> None:
        Image.new("RGB", (68, 68)).save(tmp_path / "a.png")
        session = FakeSession(FakeProject(["a.png"], root=tmp_path))
        cache = ThumbnailCache(session)
        cache.thumbnail("a.png")
        session.runner.run_all()
        session.open(FakeProject(["a.png"], root=tmp_path / "elsewhere"))
        assert cache.thumbnail("a.png") is None

    def test_newest_request_first_and_oldest_forgotten(self) -> None:
        requests = ThumbnailRequests()
        forgotten = [key for n in range(130) for key in requests.add(str(n), Path(f"{n}.png"), 0)]
        assert forgotten == ["0", "1"]
        assert requests.take() == ("129", Path("129.png"), 0)

    def test_middle_square_of_a_wide_picture(self, tmp_path: Path) -> None:
        picture = np.zeros((100, 300, 3), np.uint8)
        picture[:, 100:200] = 255
        Image.fromarray(picture).save(tmp_path / "wide.png")
        requests = ThumbnailRequests()
        item = Item("wide.png", tmp_path / "wide.png")
        requests.add(item.key, item.image_path, item.page)
        (thumbnail,) = thumbnails(requests, 68)
        assert thumbnail.image is not None
        side = thumbnail.image.shape[0]
        assert thumbnail.image.shape == (side, side, 3)
        assert thumbnail.image[:, 4:-4].min() > 200
