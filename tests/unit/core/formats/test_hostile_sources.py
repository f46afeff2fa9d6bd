"""Sources that are damaged, or made to do harm: refused in words, nothing outside of them is read, nothing is lost."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pspnet_core.errors import PspnetError
from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.formats.coco import decoded
from pspnet_core.project.formats.source_files import SourceError, SourceFiles, is_inside
from pspnet_core.project.project import Project
from tests.helpers.formats import bare_copy, export, make_project, named, ring_map, take_over
from tests.helpers.tiny_files import contents, half_mask, put_image, put_mask


@pytest.fixture
def project(tmp_path) -> Project:
    put_image(tmp_path / "root/a.png")
    return Project.open(tmp_path / "root")


def coco(file_name="a.png", segmentation=None, **image) -> dict:
    segmentation = [[0, 0, 4, 0, 4, 4, 0, 4]] if segmentation is None else segmentation
    return {
        "images": [{"id": 1, "file_name": file_name, "width": 12, "height": 8} | image],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}],
    }


def put_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    "name",
    ["../a.png", "/etc/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png", "C:a.png", "\\\\host\\a.png", "a\0.png", ""],
)
def test_names_that_lead_out_are_refused(name, project, tmp_path) -> None:
    assert not is_inside(name)
    done = take_over(project, put_json(tmp_path / "in/x.json", coco(name)), "coco")
    assert done.num_changed == 0
    assert "refused" in done.remarks[0].title


def test_archives_that_lead_out_are_not_unpacked(project, tmp_path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(half_mask()).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../masks/a.png", buffer.getvalue())
        archive.writestr("/masks/a.png", buffer.getvalue())
        archive.writestr("masks/a.png", buffer.getvalue())
    before = contents(tmp_path)
    done = take_over(project, tmp_path / "evil.zip", "png", dry_run=True)
    assert contents(tmp_path) == before
    assert done.num_changed == 1
    assert done.remarks[0].count == 2


def test_a_bomb_in_an_archive_is_refused(project, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.json", b"[" + b"0," * 20_000_000 + b"0]")
    files = SourceFiles(tmp_path / "bomb.zip")
    try:
        assert len(files.read("x.json")) > 1_000_000  # 40 MB of 40 kB: honest masks are packed like that
        with pytest.raises(SourceError, match="too large"):
            files.read("x.json", limit=1000)
    finally:
        files.close()


def test_links_out_of_the_source_are_not_followed(project, tmp_path) -> None:
    put_mask(tmp_path / "secret/a.png", half_mask())
    (tmp_path / "in/masks").mkdir(parents=True)
    (tmp_path / "in/masks/a.png").symlink_to(tmp_path / "secret/a.png")
    with pytest.raises(SourceError, match="no mask"):
        take_over(project, tmp_path / "in", "png")
    with pytest.raises(SourceError, match="leads out"):
        SourceFiles(tmp_path / "in").path("masks/a.png")


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [8, 12], "counts": [10**12]},
        {"size": [8, 12], "counts": [-5, 101]},
        {"size": [8, 12], "counts": [96.5]},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [8, 12], "counts": "ooooooooooooooooo"},
        {"size": [8, 12], "counts": "\x00\xff"},
        {"size": [8, 12]},
        {"size": "x", "counts": []},
        [[0, 0, float("inf"), 0, 4, 4]],
        [[0, 0, 1e300, 0, 4, 4]],
        [[0, 0, "x", 0, 4, 4]],
        [[[0, 0], [1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]],
        [[0, 0]],
        ["abc"],
        "abc",
        7,
        [],
    ],
)
def test_damaged_shapes_are_left_out_and_told(segmentation, project, tmp_path) -> None:
    done = take_over(project, put_json(tmp_path / "in/x.json", coco(segmentation=segmentation)), "coco")
    assert done.num_changed == 0
    assert done.remarks


def test_a_mask_of_another_size_is_refused_and_the_others_are_taken(tmp_path) -> None:
    put_image(tmp_path / "root/a.png")
    put_image(tmp_path / "root/b.png")
    project = Project.open(tmp_path / "root")
    put_mask(tmp_path / "in/masks/a.png", half_mask(13, 8))
    put_mask(tmp_path / "in/masks/b.png", half_mask())
    done = take_over(project, tmp_path / "in", "png")
    assert [failure.item_key for failure in done.failures] == ["a.png"]
    assert "13 × 8" in done.failures[0].title
    assert done.num_changed == 1
    done = take_over(project, put_json(tmp_path / "c/x.json", coco(width=24, height=16)), "coco")
    assert "24 × 16" in done.failures[0].title


def test_xml_with_entities_is_not_read(project, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    head = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "&x;&x;">]>'
    for encoding in ("utf-8", "utf-16"):
        text = f'<?xml version="1.0" encoding="{encoding}"?>{head}<annotations><image name="&y;"/></annotations>'
        (tmp_path / "in/annotations.xml").write_bytes(text.encode(encoding))
        with pytest.raises(SourceError, match="document type"):
            take_over(project, tmp_path / "in", "cvat")


def test_a_class_table_with_impossible_numbers(project, tmp_path) -> None:
    put_mask(tmp_path / "in/masks/a.png", half_mask())
    (tmp_path / "in/classes.json").write_text('{"classes": [{"index": 0, "name": "x", "color": [1e999, 0, 0]}]}')
    with pytest.raises(SourceError, match="not a class table"):
        take_over(project, tmp_path / "in", "png")


def test_a_mask_that_is_too_large_is_not_decoded(tmp_path, monkeypatch) -> None:
    put_image(tmp_path / "root/a.jpg")
    project = Project.open(tmp_path / "root")
    put_mask(tmp_path / "in/masks/a.png", half_mask(900, 900))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decodes it"))
    assert "900 × 900" in take_over(project, tmp_path / "in", "png").failures[0].title


def test_xml_in_an_encoding_that_is_none(project, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/annotations.xml").write_text('<?xml version="1.0" encoding="utf-256"?><annotations/>')
    with pytest.raises(SourceError, match="not XML"):
        take_over(project, tmp_path / "in", "cvat")


@pytest.mark.parametrize("header", [b"{'shape': (1", b"{'shape': \0}", b"", b"[]", b"{'descr': 7}"])
def test_numpy_files_with_a_damaged_header_are_refused(header, project, tmp_path) -> None:
    folder = tmp_path / "in/arrays"
    folder.mkdir(parents=True)
    padded = header.ljust(118) + b"\n"
    (folder / "a.npy").write_bytes(b"\x93NUMPY\1\0" + len(padded).to_bytes(2, "little") + padded)
    assert take_over(project, tmp_path / "in", "numpy").failures


def test_numpy_files_with_objects_or_a_lying_header_are_refused(project, tmp_path) -> None:
    folder = tmp_path / "in/arrays"
    folder.mkdir(parents=True)
    np.save(folder / "a.npy", np.array([{"x": 1}], object), allow_pickle=True)
    assert take_over(project, tmp_path / "in", "numpy").failures
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)})
    (folder / "a.npy").write_bytes(header.getvalue())
    assert take_over(project, tmp_path / "in", "numpy").failures


def test_a_large_mask_in_a_labelme_file_is_refused_before_it_is_decoded(project, tmp_path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    shape = {"label": "x", "shape_type": "mask", "points": [[0, 0], [9, 9]]}
    shape["mask"] = base64.b64encode(buffer.getvalue()).decode()
    data = {"shapes": [shape], "imagePath": "../../../etc/a.png", "imageWidth": 12, "imageHeight": 8}
    done = take_over(project, put_json(tmp_path / "in/a.json", data).parent, "labelme")
    assert done.num_changed == 0
    assert "damaged" in done.remarks[0].title


def test_json_nested_too_deeply(project, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.json").write_text("[" * 200_000)
    for form in ("coco", "labelme"):
        with pytest.raises(SourceError, match="not JSON"):
            take_over(project, tmp_path / "in", form)


def test_more_classes_than_there_are_ids(project, tmp_path) -> None:
    data = coco()
    data["categories"] = [{"id": n, "name": f"c{n}"} for n in range(400)]
    assert take_over(project, put_json(tmp_path / "in/x.json", data), "coco").added == ("c1",)
    data["annotations"] = [data["annotations"][0] | {"id": n, "category_id": n} for n in range(400)]
    put_json(tmp_path / "in/x.json", data)
    with pytest.raises(PspnetError, match="no id left"):
        take_over(project, tmp_path / "in", "coco")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(junk=_json, data=st.data())
def test_junk_in_json_is_told_and_nothing_breaks(junk, data, project, tmp_path) -> None:
    value = coco()
    place = data.draw(st.sampled_from(["images", "categories", "annotations"]))
    field = data.draw(st.sampled_from(["", "id", "name", "file_name", "width", "segmentation", "category_id", "size"]))
    if field:
        value[place][0][field] = junk
    else:
        value[place] = junk
    shapes = {"shapes": [{"label": "x", "points": junk, "shape_type": "polygon"}, junk], "imagePath": junk}
    for form, content in (("coco", value), ("labelme", shapes)):
        put_json(tmp_path / "in/a.json", content)
        with suppress(PspnetError):
            take_over(project, tmp_path / "in", form, dry_run=True)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_bytes_never_do_more_than_fail(form, data, tmp_path_factory) -> None:
    folder = tmp_path_factory.getbasetemp() / f"flip-{form}"
    if not folder.exists():
        export(make_project(folder / "root", {"a.png": ring_map()}), folder / "out", form)
        bare_copy(Project.open(folder / "root"), folder / "other")
    out = folder / "out"
    path = data.draw(st.sampled_from(sorted(p for p in out.rglob("*") if p.is_file() and p.suffix != ".jpg")))
    good = path.read_bytes()
    at = data.draw(st.integers(0, max(0, len(good) - 1)))
    bad = data.draw(
        st.sampled_from([good[:at], good[:at] + b"\xff" + good[at + 1 :], good[:at] + b"9" * 30 + good[at:]])
    )
    try:
        path.write_bytes(bad)
        with suppress(PspnetError):
            take_over(Project.open(folder / "other"), out, form, dry_run=True)
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize("class_id", [0, 1, 7, 255, 3])
def test_rle_is_that_of_pycocotools(class_id) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    mask = ring_map() == class_id
    packed = tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    flat = mask.ravel(order="F")
    runs = np.diff([0, *np.flatnonzero(np.diff(flat.astype(int))) + 1, flat.size]).tolist()
    for counts in (packed, [0, *runs] if flat[0] else runs):
        found = np.zeros_like(mask)
        rect, part = decoded({"size": [10, 14], "counts": counts}, 10, 14)
        found[rect.slices] = part
        np.testing.assert_array_equal(found, mask)


def test_painted_pixels_stay(tmp_path) -> None:
    project = make_project(tmp_path / "root", {"a.png": half_mask(class_id=0)})
    put_mask(tmp_path / "in/masks/a.png", half_mask(class_id=7, other=1))
    put_json(tmp_path / "in/classes.json", project.classes.to_json())
    done = take_over(project, tmp_path / "in", "png")
    assert (done.num_pixels, done.remarks[0].count) == (48, 48)
    assert set(named(project, "a.png")[:, :6].ravel()) == {"field"}
    assert set(named(project, "a.png")[:, 6:].ravel()) == {"roof: red"}
    assert take_over(project, tmp_path / "in", "png", over="all").num_pixels == 48
    assert set(named(project, "a.png")[:, :6].ravel()) == {"water"}
