"""Accepting a part of the prediction: one class, or what is sure enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Provenance, Rect
from pspnet_studio.dialogs.accept import AcceptDialog
from pspnet_studio.model.document import Document
from pspnet_studio.model.whole_image import acceptable
from tests.helpers.folders import make_folder
from tests.helpers.studio import open_paths, running_studio

W, H = 320, 300
ALL = Rect(0, 0, W, H)


def document_with_prediction() -> Document:
    """Class 1 left, 2 right; confidence grows from top to bottom; some pixels are the person's own."""
    document = Document("a", np.zeros((H, W, 3), np.uint8), PlaneStore(W, H, UNLABELLED), PlaneStore(W, H, 0))
    classes = np.where(np.arange(W) < W // 2, 1, 2).astype(np.uint8)[None].repeat(H, axis=0)
    confidence = np.linspace(0, 255, H).astype(np.uint8)[:, None].repeat(W, axis=1)
    document.begin_edit("brush")
    document.paint(Rect(0, H - 40, 40, 40), np.ones((40, 40), bool), 5)
    document.commit_edit()
    document.set_prediction(Prediction(classes, confidence), 1)
    return document


def test_a_class_is_accepted_alone_and_comes_back_in_one_step() -> None:
    document = document_with_prediction()
    before = document.class_plane.to_array()
    assert document.accept_prediction(class_id=1)
    accepted = document.provenance_plane.to_array() == Provenance.ACCEPTED
    own = before == 5
    expected = np.zeros((H, W), bool)
    expected[:, : W // 2] = True
    assert (accepted == (expected & ~own)).all()
    assert (document.class_plane.to_array()[accepted] == 1).all()
    document.undo()
    assert (document.class_plane.to_array() == before).all()
    assert not document.accept_prediction(class_id=9)


def test_only_what_is_sure_enough_is_accepted() -> None:
    document = document_with_prediction()
    assert document.prediction is not None
    own = document.class_plane.to_array() == 5
    counts = acceptable(document.prediction, *document.committed_snapshot())
    assert document.accept_prediction(min_confidence=200)
    accepted = document.provenance_plane.to_array() == Provenance.ACCEPTED
    assert (accepted == ((document.prediction.confidence >= 200) & ~own)).all()
    assert counts[:, 200:].sum() == np.count_nonzero(accepted)
    rest = acceptable(document.prediction, *document.committed_snapshot())
    assert rest[:, 200:].sum() == 0
    assert rest.sum() == counts.sum() - np.count_nonzero(accepted)


def test_locked_classes_keep_accepted_pixels_also_in_a_part() -> None:
    document = document_with_prediction()
    document.accept_prediction(class_id=1)
    document.protect(frozenset({1}))
    document.set_prediction(Prediction(np.full((H, W), 2, np.uint8), np.full((H, W), 255, np.uint8)), 2)
    assert document.accept_prediction(class_id=2, min_confidence=1)
    classes = document.class_plane.to_array()
    assert (classes[: H - 40, : W // 2] == 1).all()
    assert (classes[:, W // 2 :] == 2).all()


def test_the_dialog_counts_as_the_slider_moves(qtbot: QtBot) -> None:
    dialog = AcceptDialog()
    qtbot.addWidget(dialog)
    dialog.set_classes(ClassSet().add("a", index=1).add("b", index=2))
    assert not dialog.apply_button.isEnabled()
    counts = np.zeros((256, 256), np.int64)
    counts[1, 250], counts[2, 130] = 30, 20
    dialog.show_counts(counts, 100)
    dialog.slider.setValue(50)
    assert dialog.percent_box.value() == 50
    assert "50 " in dialog.result_label.text()
    dialog.percent_box.setValue(90)
    assert "30 " in dialog.result_label.text()
    dialog.class_box.setCurrentIndex(dialog.class_box.findData(2))
    assert dialog.class_id == 2
    assert not dialog.apply_button.isEnabled()


def test_commands_accept_a_part_of_what_is_shown(qtbot: QtBot, tmp_path: Path) -> None:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
        document, actions = studio.session.document, studio.window.actions_by_id
        assert document is not None
        studio.live.set_on(False)
        assert not actions["accept_class"].isEnabled()
        classes = np.zeros(document.shape, np.uint8)
        classes[:, 80:] = 1
        confidence = np.full_like(classes, 100)
        confidence[60:] = 250
        document.set_prediction(Prediction(classes, confidence))
        studio.window.commands.update_enabled()
        studio.tool_state.set_class_id(1)
        actions["accept_class"].trigger()
        assert set(np.unique(document.class_plane.to_array()[:, 80:])) == {1}
        assert set(np.unique(document.class_plane.to_array()[:, :80])) == {UNLABELLED}
        actions["accept_confident"].trigger()
        dialog = studio.window.commands._accept_flow.dialog
        assert dialog is not None
        qtbot.waitUntil(lambda: dialog.apply_button.isEnabled(), timeout=10_000)
        assert f"{60 * 80:,} " in dialog.result_label.text()
        dialog.apply_button.click()
        plane = document.class_plane.to_array()
        assert set(np.unique(plane[60:, :80])) == {0}
        assert set(np.unique(plane[:60, :80])) == {UNLABELLED}
        qtbot.waitUntil(lambda: "0 pixels" in dialog.result_label.text(), timeout=10_000)
        dialog.close()
