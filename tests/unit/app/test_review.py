"""The review in the window: numbers lead to their pixels. Versions side by side, and what can be done with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.project.project import Split
from pspnet_core.training.review_events import ItemScore, Place, Review, Reviewing, Suspect
from pspnet_core.types import Rect
from pspnet_studio.bootstrap import Studio
from pspnet_studio.canvas.compare import Arrangement
from pspnet_studio.panels.confusion import percent_text
from pspnet_studio.windows.version_details import details_text
from tests.helpers.folders import make_data_set
from tests.helpers.studio import open_paths, running_studio

CLASSES = ClassSet().add("ground", index=0).add("thing", index=1)


def matrix(counts: list[list[int]]) -> ConfusionMatrix:
    result = ConfusionMatrix((0, 1))
    for true_id, row in enumerate(counts):
        for predicted_id, count in enumerate(row):
            shape = (1, count)
            result.update(np.full(shape, true_id, np.uint8), np.full(shape, predicted_id, np.uint8))
    return result


def place(key: str, x: int = 40, area: int = 400) -> Place:
    return Place(key, Rect(x - 10, 20, 20, 20), x, 30, area, 1, 0)


def result_of(version: int = 1) -> Review:
    here, there = place("images/train/00.png"), place("images/train/01.png", 90, 300)
    items = (
        ItemScore("images/train/00.png", Split.TRAIN, 0.4, 1000, 400, 0, (here,)),
        ItemScore("images/train/01.png", Split.TRAIN, 0.8, 1000, 300, 1000, (there,)),
    )
    return Review(
        version,
        CLASSES,
        (0, 1),
        matrix([[700, 0], [300, 1000]]),
        matrix([[10, 0], [0, 0]]),
        matrix([[0, 0], [0, 0]]),
        items,
        {(1, 0): (here, there)},
        (Suspect(here, 0.93),),
        (),
        2,
    )


@pytest.fixture(scope="module")
def checkpoint() -> Any:
    pytest.importorskip("torch")
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.models.config import PSPNetConfig
    from pspnet_core.models.pspnet import PSPNet
    from tests.helpers.networks import small

    return Checkpoint(PSPNet(small(PSPNetConfig.studio_fast(2))).eval(), CLASSES)


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, checkpoint: Any) -> Iterator[Studio]:
    from pspnet_core.training.versions import VersionStore

    folder = make_data_set(tmp_path / "d", train=2, test=1)
    store = VersionStore(folder / ".pspnet-studio" / "versions")
    for number in (1, 2):
        store.add(checkpoint, {"created": "2026-01-05T10:00:00+00:00", "mean_iou": 0.1 * number, "num_images": 2})
    store.set_current(1)
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        open_paths(qtbot, studio, folder)
        studio.session.go_to("images/train/00.png")
        qtbot.waitUntil(lambda: studio.predictions.state == "ready", timeout=60_000)
        yield studio


def show(studio: Studio, result: Review) -> None:
    studio.learning.reviews._changed_meanwhile = False  # as when one begins
    studio.learning.reviews._on_done(result)
    studio.window.review_dock.show()


def test_review_with_the_network_and_a_click_on_a_cell(qtbot: QtBot, studio: Studio) -> None:
    panel, reviews = studio.window.review_panel, studio.learning.reviews
    assert not studio.window.review_dock.isVisible()
    assert "Review version 1" in panel.start_button.text()
    fractions: list[float] = []
    reviews.progressed.connect(lambda event: fractions.append(event.fraction))
    studio.window.actions_by_id["review"].trigger()
    assert studio.window.review_dock.isVisible()
    qtbot.waitUntil(lambda: reviews.result is not None, timeout=60_000)
    assert fractions
    assert isinstance(reviews.result, Review)
    assert panel.head.text.startswith("Version 1 · mIoU ")
    assert "2 images" in panel.head.text
    assert reviews.outdated == ""
    cell = next(iter(reviews.result.cells))
    areas: list[Any] = []
    reviews.marked.connect(areas.append)
    view = panel.matrix
    index = view.matrix.index_of(*cell)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())
    wanted = reviews.result.cells[cell][0]
    qtbot.waitUntil(lambda: studio.session.document.item_key == wanted.key, timeout=10_000)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: bool(areas), timeout=60_000)
    rect, mask = areas[0]
    assert mask[wanted.y - rect.y, wanted.x - rect.x], "the region around the point"
    x, y = studio.window.canvas.viewport.to_device(wanted.x, wanted.y)
    assert 0 <= x < studio.window.canvas.viewport.view_w
    assert 0 <= y < studio.window.canvas.viewport.view_h
    assert studio.window.learning_flows.review.ring.isVisible()


def test_each_choice_goes_to_the_next_place_and_keys_do_the_same(qtbot: QtBot, studio: Studio) -> None:
    show(studio, result_of())
    panel, chosen, told = studio.window.review_panel, [], []
    panel.place_chosen.connect(lambda place: chosen.append(place.key))
    panel.told.connect(told.append)
    panel.matrix.setFocus()
    panel.matrix.setCurrentIndex(panel.matrix.matrix.index_of(1, 0))
    for key in ("images/train/00.png", "images/train/01.png", "images/train/00.png"):
        qtbot.keyClick(panel.matrix, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda key=key: studio.session.document.item_key == key, timeout=10_000)  # type: ignore[union-attr]
        qtbot.waitUntil(panel.matrix.hasFocus, timeout=5_000)
    assert chosen == ["images/train/00.png", "images/train/01.png", "images/train/00.png"]
    assert told[1].startswith("Labelled “thing”, predicted “ground”: place 2 of 2.")
    panel.matrix.cell_chosen.emit(0, 1)
    assert "Nothing labelled as “ground”" in told[-1]
    panel.classes.chosen.emit(1)
    panel.suspects.chosen.emit(panel.suspects.rows[0].target)
    panel.items.chosen.emit(panel.items.rows[1].target)
    assert chosen[3:] == ["images/train/00.png", "images/train/00.png", "images/train/01.png"]


def test_what_the_lists_say(qtbot: QtBot, studio: Studio) -> None:
    show(studio, result_of())
    panel = studio.window.review_panel
    assert [row.title for row in panel.classes.rows] == ["ground", "thing"], "worst first"
    assert panel.items.rows[0].spoken == "00.png, 0.40, 40 % wrong · learned from"
    assert panel.items.rows[1].detail.endswith("not learned from")
    assert panel.suspects.rows[0].spoken == "thing → ground?, 93 % sure, 00.png · 400 pixels"
    model = panel.matrix.matrix
    assert model.index_of(1, 0).data() == "23"
    assert "“thing” is predicted as “ground”: 300 pixels" in model.index_of(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert model.index_of(0, 1).data() == ""
    panel.head.scope_box.setCurrentIndex(1)
    assert model.index_of(0, 0).data() == "100"
    assert model.rowCount() == 1, "only pixels it did not learn from"


def test_outdated_by_an_edit_or_another_version_but_not_by_saving(qtbot: QtBot, studio: Studio) -> None:
    reviews = studio.learning.reviews
    show(studio, result_of())
    studio.session.save_now()
    studio.session.state_changed.emit("images/train/00.png")
    studio.session.autosave.item_saved.emit("images/train/00.png")
    qtbot.wait(50)
    assert reviews.outdated == ""
    studio.training.set_current(2)
    assert "Version 2 is in use now" in reviews.outdated
    studio.training.set_current(1)
    assert reviews.outdated == ""
    document = studio.session.document
    assert document is not None
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 30, 30), np.ones((30, 30), bool), 1)
    document.commit_edit()
    assert "Labels have changed" in reviews.outdated
    assert "Labels have changed" in studio.window.review_panel.head.text


def test_a_mask_rewritten_on_disk_makes_it_outdated(qtbot: QtBot, studio: Studio) -> None:
    show(studio, result_of())
    studio.session.item_rewritten("images/train/01.png")
    qtbot.waitUntil(lambda: "Labels have changed" in studio.learning.reviews.outdated, timeout=2_000)


def test_cancelled_it_leaves_the_result_before(qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object) -> Iterator[Any]:
        while True:
            time.sleep(0.005)
            yield Reviewing(1, 3, 0.4, "a")

    monkeypatch.setattr("pspnet_core.training.review.review", endless)
    show(studio, before := result_of())
    reviews, head = studio.learning.reviews, studio.window.review_panel.head
    head.again_button.click()
    qtbot.waitUntil(lambda: head.progress.value() > 0, timeout=20_000)
    assert head.text == "Reviewing: image 2 of 3"
    head.cancel_button.click()
    qtbot.waitUntil(lambda: not reviews.is_running, timeout=5_000)
    assert reviews.result is before


def test_the_window_closes_in_the_middle_of_it(qtbot: QtBot, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    def endless(*_: object) -> Iterator[Any]:
        try:
            while True:
                time.sleep(0.005)
                yield Reviewing(1, 3, 0.4, "a")
        finally:
            closed.append(True)

    monkeypatch.setattr("pspnet_core.training.review.review", endless)
    studio.learning.reviews.start()
    qtbot.waitUntil(lambda: studio.window.review_panel.head.progress.value() > 0, timeout=20_000)
    studio.window.close()
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=30_000)
    assert closed == [True]


def test_without_a_version_it_says_what_to_do(qtbot: QtBot, studio: Studio) -> None:
    studio.session.close_project()
    assert "Fine-tune first" in studio.window.review_panel.words
    assert not studio.window.actions_by_id["review"].isEnabled()
    assert not studio.window.review_dock.isVisible()


def test_shares_are_never_rounded_to_nothing_or_all() -> None:
    assert [percent_text(share) for share in (0.0004, 0.034, 0.4567, 0.998, 1.0)] == [
        "<0.1",
        "3.4",
        "46",
        "99.9",
        "100",
    ]


def test_versions_side_by_side_on_the_open_image_and_the_next_one(qtbot: QtBot, studio: Studio) -> None:
    window, compare = studio.window, studio.window.compare
    window.training_panel.versions.select(2)
    action = window.actions_by_id["version_compare"]
    action.trigger()
    assert compare.arrangement is Arrangement.VERSIONS
    assert [view.accessibleName() for view in compare.others] == ["Version 1, in use", "Version 2"]
    assert action.isChecked()
    qtbot.waitUntil(lambda: all(v.document.prediction is not None for v in compare.others), timeout=60_000)  # type: ignore[union-attr]
    studio.session.go_to("images/train/01.png")
    qtbot.waitUntil(
        lambda: all(view.document is not None and view.document.item_key.endswith("01.png") for view in compare.others),
        timeout=10_000,
    )
    assert len(compare.others) == 2
    action.trigger()
    assert compare.arrangement is Arrangement.SINGLE
    action.trigger()
    window.actions_by_id["split_photo"].trigger()
    assert compare.arrangement is Arrangement.PHOTO
    assert studio.learning.comparison.numbers == ()


def test_use_export_and_delete_but_never_the_one_in_use(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    flow, actions = studio.window.learning_flows.versions, studio.window.actions_by_id
    versions = studio.window.training_panel.versions
    versions.select(1)
    assert not actions["version_delete"].isEnabled()
    assert not actions["version_use"].isEnabled()
    versions.select(2)
    flow._ask_where = lambda *_: tmp_path / "out.safetensors"
    actions["version_export"].trigger()
    qtbot.waitUntil((tmp_path / "out.safetensors").is_file, timeout=10_000)
    actions["version_details"].trigger()
    assert flow.details is not None
    assert flow.details.text.startswith("Version 2\n")
    flow.details.close()
    asked: list[int] = []
    flow._ask_whether = lambda _, number: bool(asked.append(number))
    actions["version_delete"].trigger()
    assert asked == [2]
    assert len(studio.training.versions()) == 2
    flow._ask_whether = lambda *_: True
    actions["version_delete"].trigger()
    qtbot.waitUntil(lambda: [v.number for v in studio.training.versions()] == [1], timeout=10_000)
    actions["version_use"].trigger()
    assert studio.training.current_version == 1


def test_details_tell_all_there_is() -> None:
    from pspnet_core.training.versions import Version

    record = {
        "mode": "full",
        "mean_iou": 0.61,
        "old_mean_iou": 0.54,
        "compared_with": 1,
        "interval": [0.03, 0.11],
        "per_class": {"0": [0.5, 0.6], "1": [None, 0.3]},
        "steps": 90,
        "planned_steps": 120,
        "seed": 3,
        "seconds": 60.0,
        "metrics": {"seconds": 58.2},
        "trained_items": ["a.png", "b.png"],
        "recipe": {"batch_size": 2},
        "reason": "Better.",
    }
    text = details_text(Version(2, Path("c.safetensors"), record), CLASSES)
    for part in (
        "Mode: Full",
        "90 of 120 planned",
        "Seed: 3",
        "58 s",
        "+0.0300 to +0.1100",
        "thing: –, 0.300",
        "  b.png",
        "batch_size: 2",
    ):
        assert part in text
