"""The published class sets, against torchvision's tables and the palette formula of Pascal VOC."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pspnet_core.class_sets import CLASS_SETS, class_set, title_of


@pytest.mark.parametrize(("name", "count"), [("ade20k", 150), ("cityscapes", 19), ("voc", 21), ("camvid", 11)])
def test_complete_with_ids_in_channel_order(name: str, count: int) -> None:
    classes = class_set(name)
    assert classes.indices == tuple(range(count))
    assert len(set(classes.names)) == count
    assert all(c.name == c.name.strip() for c in classes)
    assert title_of(name)


def test_the_listed_names_are_the_known_ones() -> None:
    assert CLASS_SETS == ("ade20k", "cityscapes", "voc", "camvid")
    for lookup in (class_set, title_of):
        with pytest.raises(ValueError, match="camvid"):
            lookup("coco")


def test_cityscapes_equals_torchvision() -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = sorted((c.train_id, c.name, c.color) for c in datasets.Cityscapes.classes if 0 <= c.train_id < 255)
    assert [(c.index, c.name, c.color) for c in class_set("cityscapes")] == theirs


def test_voc_equals_torchvision_and_the_formula_of_its_palette() -> None:
    meta = pytest.importorskip("torchvision.models._meta")
    ours = class_set("voc")
    assert list(ours.names) == [name.strip("_") for name in meta._VOC_CATEGORIES]
    for c in ours:
        bits = [sum(((c.index >> (3 * step + channel)) & 1) << (7 - step) for step in range(8)) for channel in range(3)]
        assert list(c.color) == bits


def test_some_channels_by_hand() -> None:
    ade, camvid = class_set("ade20k"), class_set("camvid")
    assert (ade[0].name, ade[0].color) == ("wall", (120, 120, 120))
    assert (ade[12].name, ade[12].color) == ("person", (150, 5, 61))
    assert (ade[149].name, ade[149].color) == ("flag", (92, 0, 255))
    assert camvid.names[:6] == ("Building", "Tree", "Sky", "Car", "SignSymbol", "Road")
    assert camvid[9].color == (0, 0, 192)


def test_needs_no_torch() -> None:
    code = (
        "import sys; from pspnet_core.class_sets import class_set; class_set('voc'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
