"""The tour on a small data set, on a real display: the whole job, and a report that keeps its promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.folders import files_below, make_data_set

pytestmark = pytest.mark.display


@pytest.mark.timeout(280)
def test_the_whole_job(home: dict[str, str], tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "discs", train=3, test=2, width=320, height=240)
    before = files_below(data)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pspnet_studio", "tour", "--data", str(data), "--images", "2"]
    command += ["--seconds", "14", "--out", str(out), "--json"]
    result = subprocess.run(command, env=home, capture_output=True, text=True, timeout=270)
    assert result.returncode == 0, result.stderr
    report = json.loads((out / "report.json").read_text())
    assert json.loads(result.stdout) == report
    assert report["images"] == 2
    assert report["labelled_share"] >= 0.95
    assert report["strokes"] >= 2
    assert set(report["trained_items"]) <= {f"images/train/{n:02d}.png" for n in range(3)}
    assert report["scored_items"] == ["images/test/00.png", "images/test/01.png"]
    assert report["miou_after"] > report["miou_before"]
    assert report["longest_stall_ms"] > 0
    assert report["import_stall_ms"] > 0
    stages = [stage["name"] for stage in report["stages"]]
    for stall in report["stalls"]:
        assert stall["ms"] > 50
        assert stall["stage"] in [*stages, "end"]
    assert max((s["ms"] for s in report["stalls"] if not s["during_import"]), default=0) <= report["longest_stall_ms"]
    for stage in report["stages"]:
        with Image.open(out / stage["screenshot"]) as picture:
            assert picture.width >= 900
    assert len(list((out / "masks").rglob("*.png"))) == 2
    assert files_below(data) == before


def test_data_without_masks_is_refused_in_words(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    command = [sys.executable, "-m", "pspnet_studio", "tour", "--data", str(tmp_path / "nothing")]
    result = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], env=home, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 1
    assert "is not a data-set folder" in result.stderr
    assert "Traceback" not in result.stderr
