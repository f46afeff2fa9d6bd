"""What benchmarks make of their runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import pspnet_vs_fcn


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
