"""``export`` and ``import`` as a person or a script calls them, in all formats."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pspnet_core import cli
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.project import Project
from tests.helpers.formats import bare_copy, make_project, ring_map
from tests.helpers.tiny_files import contents, half_mask

MAPS = {"images/train/a.png": ring_map(), "images/test/b.jpg": half_mask(14, 10, 1)}


@pytest.fixture
def root(tmp_path):
    make_project(tmp_path / "root", MAPS)
    return tmp_path / "root"


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("form", FORMATS)
def test_there_and_back(form, root, tmp_path, capsys) -> None:
    out = str(tmp_path / "out")
    assert cli.main(["export", str(root), "--format", form, "--out", out, "--json"]) == 0
    assert [row["event"] for row in lines(capsys)] == ["progress", "progress", "finished"]
    bare_copy(Project.open(root), tmp_path / "other")
    arguments = ["import", out, "--format", form, "--project", str(tmp_path / "other")]
    before = contents(tmp_path / "other")
    assert cli.main([*arguments, "--dry-run"]) == 0
    assert "would change" in capsys.readouterr().out
    assert contents(tmp_path / "other") == before
    assert cli.main([*arguments, "--json"]) == 0
    rows = lines(capsys)
    assert [row["event"] for row in rows] == ["planned", "progress", "progress", "finished"]
    assert rows[-1]["num_pixels"] == sum(int((values != 255).sum()) for values in MAPS.values())
    assert rows[-1]["failures"] == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_dry_run_of_an_export_writes_nothing(form, root, tmp_path, capsys) -> None:
    before = contents(root)
    assert cli.main(["export", str(root), "--format", form, "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "2 mask(s) would be written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert contents(root) == before


def test_splits_and_images(root, tmp_path, capsys) -> None:
    arguments = ["export", str(root), "--format", "coco-rle", "--images", "--split", "test"]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    names = set(contents(tmp_path / "out"))
    assert names == {"annotations/instances_test.json", "images/images/test/b.jpg", ".pspnet-export.json"}
    assert cli.main(["export", str(root), "--split", "val", "--out", str(tmp_path / "none")]) == 1
    assert "of split val is labelled" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["yolo", "voc", "cityscapes"])
def test_a_data_set_becomes_a_project(form, root, tmp_path, capsys) -> None:
    assert cli.main(["export", str(root), "--format", form, "--out", str(tmp_path / "out")]) == 0
    new = tmp_path / "new"
    assert cli.main(["import", str(tmp_path / "out"), "--images", "--project", str(new)]) == 0
    project = Project.open(new)
    assert len(project.items) == 2
    assert {c.name: c.index for c in project.classes}.keys() == {"field", "roof: red", "water"}
    assert all(project.has_annotation(item) for item in project.items)


def test_classes_can_be_chosen_and_painted_pixels_asked_for(root, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert cli.main(["export", str(root), "--out", str(out)]) == 0
    arguments = ["import", str(out), "--format", "png", "--project", str(root), "--class", "field=water"]
    assert cli.main(arguments) == 0
    assert "0 pixel(s) of 0 image(s) changed" in capsys.readouterr().out
    assert cli.main([*arguments, "--over", "all", "--class", "roof: red="]) == 0
    shown = capsys.readouterr().out
    assert "field -> water" in shown
    assert "roof: red is left out" in shown
    saved = read_class_map(root / ".pspnet-studio/masks/images/train/a.png.png")
    np.testing.assert_array_equal(saved, np.where(ring_map() == 0, 7, ring_map()))


@pytest.mark.parametrize(
    "arguments",
    [["--class", "x"], ["--class", "=x"], ["--images", "--dry-run"], ["--format", "gif"], ["--over", "everything"]],
)
def test_wrong_usage_is_two(arguments, root, tmp_path) -> None:
    assert cli.main(["import", str(tmp_path), "--project", str(root), *arguments]) == 2


def test_what_cannot_be_read_is_told_without_traceback(root, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    for source in ("gone", "empty"):
        assert cli.main(["import", str(tmp_path / source), "--project", str(root)]) == 1
        shown = capsys.readouterr().err
        assert source in shown
        assert "Traceback" not in shown
    assert cli.main(["import", str(root), "--project", str(root), "--class", "nobody=field"]) == 1
    assert "no class 'nobody'" in capsys.readouterr().err
