"""The label economy as it is run: a real project, overlay, queue and fine-tunes; and going on with what is finished."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.benchmarks import label_economy
from tests.helpers.tiny import write_data_set


def test_a_whole_run_and_going_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, work = write_data_set(tmp_path / "data", train=2, test=1), tmp_path / "work"
    arguments = ["label_economy", str(data), "--work", str(work), "--minutes", "0.4", "--train-seconds", "10"]
    arguments += ["--steps-per-second", "0.3", "--full-miou", "0.5", "--forest-points", "1", "--strokes", "4", "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    label_economy.main()
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first["images_corrected"] == 2
    assert first["curve"]
    assert len(first["forest_curve"]) == 1
    assert first["strokes"] >= 3
    assert {"minutes_to_90", "full_miou", "share_of_images", "rested_share", "load1"} <= first.keys()
    monkeypatch.setattr(label_economy, "score", lambda *_: pytest.fail("it was scored"))
    monkeypatch.setattr(label_economy, "forest_scores", lambda *_: pytest.fail("it was scored"))
    label_economy.main()
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again | {"load1": 0} == first | {"load1": 0}
