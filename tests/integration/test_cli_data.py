"""``export`` and ``doctor`` as a person or a script calls them."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pytest

from pspnet_core import cli, cli_doctor
from pspnet_core.cli_doctor import Finding, Level
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.project.project import Project
from tests.helpers.tiny_files import contents, half_mask, put_image, put_mask


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "photos"
    put_image(folder / "images/train/a.jpg")
    put_image(folder / "images/train/b.jpg")
    put_image(folder / "images/test/c.jpg")
    put_mask(folder / "masks/train/a.png", half_mask(class_id=3))
    return folder


def test_export_writes_masks_and_tells_people(root, tmp_path, capsys) -> None:
    project = Project.open(root)
    project.save_annotation(project.item("images/train/b.jpg"), half_mask(class_id=3), np.zeros((8, 12), np.uint8))
    before = contents(root)
    assert cli.main(["export", str(root), "--out", str(tmp_path / "out"), "--format", "png-palette"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"2 mask(s) were written to {tmp_path / 'out'}.\n"
    np.testing.assert_array_equal(read_class_map(tmp_path / "out/masks/train/a.png"), half_mask(class_id=3))
    assert contents(root) == before


def test_export_as_json_lines(root, tmp_path, capsys) -> None:
    assert cli.main(["export", str(root), "--out", str(tmp_path / "out"), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["progress", "finished"]
    assert events[-1]["num_written"] == 1


def test_failures_have_title_detail_and_remedy_and_no_traceback(root, tmp_path, capsys) -> None:
    project = Project.open(root)
    project.save_annotation(project.item("images/train/b.jpg"), half_mask(class_id=3), np.zeros((8, 12), np.uint8))
    mask = project.folder / "masks/images/train/b.jpg.png"
    mask.write_bytes(b"broken")
    assert cli.main(["export", str(root), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert "1 mask(s) were written" in shown.out
    assert str(mask) in shown.err
    assert mask.read_bytes() == b"broken"
    for folder, words in [(tmp_path / "gone", "There is no folder"), (tmp_path / "out" / "masks", "no mask")]:
        assert cli.main(["export", str(folder), "--out", str(tmp_path / "other")]) == 1
        shown = capsys.readouterr()
        assert words in shown.err
        assert len(shown.err.strip().splitlines()) == 3
        assert "Traceback" not in shown.err
        assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["export"], ["export", "x"], ["export", "x", "--out", "y", "--format", "gif"], ["fly"], ["doctor", "x"]],
)
def test_wrong_usage_is_two(arguments, capsys) -> None:
    assert cli.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_help_is_quick_and_loads_no_torch() -> None:
    code = (
        "import sys; from pspnet_core import cli; assert cli.main(['export', '--help']) == 0; "
        "assert cli.main(['train', '--help']) == 0; "
        "heavy = {'torch', 'cv2', 'skimage', 'PySide6', 'numpy'} & set(sys.modules); "
        "assert not heavy - {'numpy'}, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--out" in done.stdout


def test_an_unexpected_error_is_told_without_traceback(root, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("PSPNET_STUDIO_DEBUG", raising=False)
    monkeypatch.setattr(Project, "open", lambda *a: 1 / 0)
    assert cli.main(["export", str(root), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert "ZeroDivisionError" in shown.err
    assert "Traceback" not in shown.err


def test_an_interrupt_is_a_failure(root, tmp_path, monkeypatch, capsys) -> None:
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Project, "open", interrupt)
    assert cli.main(["export", str(root), "--out", str(tmp_path / "out")]) == 1
    assert "Interrupted" in capsys.readouterr().err


def test_doctor_looks_at_everything(capsys, monkeypatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert cli.main(["doctor", "--json"]) == 0, capsys.readouterr().out
    found = {row["check"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {"packages", "opencv", "memory", "disk", "display", "opencv beside Qt", "cpu"} <= set(found)
    assert "torch 2" in found["packages"]["detail"]
    assert "offscreen" in found["opencv beside Qt"]["detail"]


def test_doctor_fails_when_a_finding_is_an_error(capsys, monkeypatch) -> None:
    findings = [Finding("a", Level.OK, "good"), Finding("b", Level.ERROR, "bad", "mend it"), Finding("c", Level.OK, "")]
    monkeypatch.setattr(cli_doctor, "examine", lambda: iter(findings))
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[1:3] == ["FAIL  b: bad", "      mend it"]


def test_doctor_names_a_qt_that_does_not_start(monkeypatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "no-such-platform")
    finding = cli_doctor._clash()
    assert finding.level is Level.ERROR
    assert finding.remedy


def test_doctor_demands_what_the_package_requires_and_nothing_else(monkeypatch) -> None:
    required = cli_doctor.required_packages()
    assert required is not None
    assert {"torch", "torchvision", "numpy", "pyside6-essentials"} <= set(required)
    assert not {"pytest", "pyqtgraph"} & set(required)
    assert len(required) == len(set(required))
    lines = [
        "numpy>=2.0",
        "no_such.thing (>=1); python_version >= '3'",
        "pytest>=8; extra == 'dev'",
        "opencv-python>4",
    ]
    monkeypatch.setattr(cli_doctor.importlib.metadata, "requires", lambda name: lines)
    finding = cli_doctor._packages()
    assert finding.level is Level.ERROR
    assert finding.remedy == "pip install no_such.thing"
    assert finding.detail.startswith("numpy 2")
    assert "pytest" not in finding.detail


def test_doctor_in_a_checkout_that_is_not_installed(monkeypatch) -> None:
    def requires(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(cli_doctor.importlib.metadata, "requires", requires)
    finding = cli_doctor._packages()
    assert finding.level is Level.WARNING
    assert "pip install" in finding.remedy
