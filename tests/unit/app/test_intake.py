"""What dropped and named paths mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from pspnet_core.errors import ProjectError
from pspnet_studio.model.intake import plan_intake
from tests.helpers.folders import make_folder


def test_a_folder_is_taken_whole(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    intake = plan_intake([folder])
    assert (intake.root, intake.include, intake.others) == (folder, None, ())


def test_single_images_are_taken_without_their_neighbours(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", count=3)
    other = make_folder(tmp_path / "other", count=1)
    intake = plan_intake([folder / "photo_2.png", other / "photo_0.png", folder / "photo_0.png"])
    assert intake.root == folder
    assert intake.include == ("photo_2.png", "photo_0.png")
    assert intake.others == (other / "photo_0.png",)


def test_several_folders_become_one_project(tmp_path: Path) -> None:
    first, second = make_folder(tmp_path / "a"), make_folder(tmp_path / "b")
    intake = plan_intake([first, second, second / "photo_0.png"])
    assert intake.root == first
    assert intake.others == (second, second / "photo_0.png")


def test_our_own_folder_means_its_project(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    (folder / ".pspnet-studio").mkdir()
    assert plan_intake([folder / ".pspnet-studio"]).root == folder


def test_what_is_no_image_or_not_there_is_said(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ProjectError, match=r"notes\.txt"):
        plan_intake([text])
    with pytest.raises(ProjectError, match="does not exist"):
        plan_intake([tmp_path / "gone"])
