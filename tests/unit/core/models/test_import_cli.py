"""The command ``import-weights``."""

from __future__ import annotations

import json

import pytest
import torch

from pspnet_core.cli import main
from pspnet_core.models.checkpoint import load_checkpoint
from tests.helpers import golden


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "pspnet_r18-d8_769x769_80k.pth"
    torch.save({"meta": {"epoch": 1}, "state_dict": golden.state_dict("mmseg_r18_512")}, path)
    return path


def test_what_was_kept_new_and_guessed_is_said(tmp_path, file, capsys, caplog) -> None:
    out = tmp_path / "c.safetensors"
    assert main(["import-weights", str(file), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "Publisher: mmseg. Network: resnet18, 7 classes." in text
    assert "Kept: 172 tensors." in text
    assert "New and untrained: 0 tensors." in text
    assert "Guessed: 3 choices" in text
    assert f"{out} was written." in text
    assert any("align_corners=True was guessed" in record.message for record in caplog.records)
    checkpoint = load_checkpoint(out)
    assert checkpoint.origin["import"]["file"] == file.name
    with torch.inference_mode():
        checkpoint.model(golden.image())


def test_json_classes_and_options(tmp_path, file, capsys) -> None:
    table = {"classes": [{"index": n + 5, "name": f"k{n}", "color": [n, n, n]} for n in range(7)]}
    (tmp_path / "classes.json").write_text(json.dumps(table), encoding="utf-8")
    arguments = ["import-weights", str(file), "--out", str(tmp_path / "c.safetensors"), "--json", "--align-corners"]
    arguments += ["false", "--publisher", "open-mmlab/mmsegmentation", "--classes", str(tmp_path / "classes.json")]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["event"] == "imported"
    assert (event["publisher"], event["new"], event["kept"]) == ("mmseg", [], 172)
    assert [text.split()[0] for text in event["warnings"]] == ["dilation=contract"]
    assert event["config"]["align_corners"] is False
    classes = load_checkpoint(tmp_path / "c.safetensors").classes
    assert (classes.indices[0], classes.names[0]) == (5, "k0")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--classes", "voc"], "The network has 7 classes, the class set 21."),
        (["--classes", "nowhere.json"], "The classes could not be read from nowhere.json."),
        (["--publisher", "caffe"], "was not published by caffe"),
        (["--publisher", "me"], "There is no publisher 'me'"),
    ],
)
def test_refusals_leave_no_file(tmp_path, file, capsys, options, expected) -> None:
    out = tmp_path / "c.safetensors"
    assert main(["import-weights", str(file), "--out", str(out), *options]) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_the_file_itself_is_not_overwritten(file, capsys) -> None:
    before = file.read_bytes()
    assert main(["import-weights", str(file), "--out", str(file)]) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for out, words in ((tmp_path, "is a folder"), (tmp_path / "file" / "c.safetensors", "is not a folder")):
        assert main(["import-weights", "nowhere.pth", "--out", str(out)]) == 1
        error = capsys.readouterr().err
        assert words in error
        assert "nowhere" not in error


def test_wrong_usage(tmp_path, file, capsys) -> None:
    assert main(["import-weights", "--out", str(tmp_path / "c")]) == 2
    assert main(["import-weights", str(file), "--out", str(tmp_path / "c"), "--align-corners", "maybe"]) == 2
    capsys.readouterr()
