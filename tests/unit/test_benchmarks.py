"""What benchmarks make of their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pspnet_core.project.replay import digests_of
from tests.benchmarks import pspnet_vs_fcn
from tests.benchmarks.crash import Result, Told, check
from tests.helpers.journals import KEY, Hand, make_project


def row(model: str, seed: int, mean_iou: float, **changes: Any) -> dict[str, Any]:
    return {
        "data": "camvid",
        "model": model,
        "backbone": "efficientnet_lite0",
        "seed": seed,
        "seconds": 120.0,
        "mean_iou": mean_iou,
        **changes,
    }


RUNS = [row("pspnet", 0, 0.5), row("fcn", 0, 0.45), row("pspnet", 1, 0.52), row("fcn", 1, 0.48)]


def test_a_comparison_tells_every_seed_and_the_spread() -> None:
    table = pspnet_vs_fcn.summary(RUNS)["camvid"]
    assert table["pspnet"] == {
        "seeds": {0: 0.5, 1: 0.52},
        "mean": 0.51,
        "min": 0.5,
        "max": 0.52,
        "deviation": pytest.approx(0.0141),
    }
    assert table["pspnet - fcn"]["seeds"] == {0: 0.05, 1: 0.04}
    assert "deviation" not in pspnet_vs_fcn.summary(RUNS[:2])["camvid"]["fcn"]


def test_runs_of_other_backbones_times_and_seeds_in_the_log_do_not_count(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    others = [
        row("pspnet", 0, 0.9, backbone="resnet50"),
        row("fcn", 0, 0.1, seconds=15.0),
        row("pspnet", 7, 0.99),
        row("pspnet", 0, 0.99, data="aerial"),
    ]
    log = tmp_path / "runs.jsonl"
    log.write_text("".join(json.dumps(r) + "\n" for r in [*others, *RUNS]))
    arguments = ["pspnet_vs_fcn", str(tmp_path / "camvid"), "--seeds", "2", "--log", str(log), "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.setattr(pspnet_vs_fcn, "run", lambda *_: pytest.fail("all runs are in the log"))
    pspnet_vs_fcn.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["rows"] == [RUNS[0], RUNS[1], RUNS[2], RUNS[3]]
    assert list(found["summary"]) == ["camvid"]
    assert found["summary"]["camvid"]["pspnet"]["mean"] == 0.51


@pytest.mark.parametrize("num_written", [1, 3])
def test_strokes_that_are_lost_are_counted_though_their_pixels_were_there_before(
    tmp_path: Path, num_written: int
) -> None:
    make_project(tmp_path)
    hand, told = Hand(tmp_path), Told()
    for number, class_id in enumerate((0, 1, 0), start=1):
        hand.stroke(5, 5, 8, class_id)
        told.after.append((0.0, (*digests_of(*hand.planes), hand.depth)))
        if number == num_written:
            hand.write()
    hand.end()
    check(tmp_path, {KEY: told}, 10.0, result := Result(), "kill")
    assert result.strokes_lost == 3 - num_written
    assert len(result.problems) == (num_written < 3)
