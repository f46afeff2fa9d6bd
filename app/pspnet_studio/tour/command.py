"""``pspnet-studio tour``: arguments, run, report."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings, QTimer

from pspnet_core.atomic import write_json
from pspnet_core.errors import PspnetError
from pspnet_core.sample import sample_folder, write_sample
from pspnet_studio.bootstrap import Studio, bootstrap
from pspnet_studio.jobs.runner import Lane
from pspnet_studio.tour.data import TourData, copy_without_masks, majority_miou
from pspnet_studio.tour.driver import Driver, Script, TourError, Wait, in_background
from pspnet_studio.tour.heartbeat import Heartbeat
from pspnet_studio.tour.script import TourScript, score

_SAMPLE_IMAGES, _SAMPLE_SECONDS = 4, 45.0
_DATA_IMAGES, _DATA_SECONDS = 8, 300.0


def main(arguments: Sequence[str]) -> int:
    """Run the tour; returns the exit code."""
    options = _parser().parse_args(list(arguments))
    out = options.out.absolute()
    work = Path(tempfile.mkdtemp(prefix="pspnet-tour-"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        report = _run(options, out, work)
    except (PspnetError, AssertionError, OSError, LookupError, ValueError) as error:
        sys.stderr.write(f"The tour failed.\n{type(error).__name__}: {error}\n")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_json(out / "report.json", report)
    sys.stdout.write((json.dumps(report) if options.json else _summary(report, out)) + "\n")
    return 0


def _run(options: argparse.Namespace, out: Path, work: Path) -> dict[str, Any]:
    if options.data is None:
        source, images, seconds = write_sample(sample_folder()), _SAMPLE_IMAGES, _SAMPLE_SECONDS
    else:
        source, images, seconds = options.data, _DATA_IMAGES, _DATA_SECONDS
    data = copy_without_masks(source, work / source.resolve().name, options.images or images)
    store = QSettings(str(work / "settings.ini"), QSettings.Format.IniFormat)
    studio = bootstrap(["pspnet-studio"], settings_store=store, device=options.device, seed=options.seed)
    heartbeat = Heartbeat(studio.window)
    tour = TourScript(studio, data, options.seconds or seconds, out)
    result: dict[str, Any] = {}
    failure: list[BaseException] = []

    def script() -> Script:
        yield Wait(lambda: studio.first_paint.is_done, 30, "the first paint")
        heartbeat.start()
        yield from tour.run()
        heartbeat.stop()
        result["miou_after"] = yield from score(studio, data, options.device)
        result["miou_before"] = yield from in_background(
            studio.runner, Lane.IO, lambda: majority_miou(data, data.test_keys)
        )
        result.update(_evidence(studio, data))

    def on_end(error: BaseException | None) -> None:
        QTimer.singleShot(0, lambda: _close(studio))  # first: what failed may fail again in the picture
        if error is not None:
            failure.append(error)
            studio.training.cancel()
            studio.window.grab().save(str(out / "failed.png"))

    driver = Driver(script(), on_end)
    studio.window.resize(1360, 860)
    studio.window.show()
    driver.start()
    studio.application.exec()
    if failure:
        raise failure[0]
    return _report(tour, heartbeat, studio, result)


def _close(studio: Studio) -> None:
    studio.window.close()
    studio.application.quit()


def _evidence(studio: Studio, data: TourData) -> dict[str, Any]:
    """Which items were trained and which scored; none may be both."""
    trained: set[str] = set()
    for version in studio.training.versions():
        trained.update(version.record["trained_items"])
    both = trained & set(data.test_keys)
    if both:
        raise TourError(f"Trained on test images: {sorted(both)}.")
    if not trained:
        raise TourError("No version says what it was trained on.")
    return {"trained_items": sorted(trained), "scored_items": list(data.test_keys)}


def _report(tour: TourScript, heartbeat: Heartbeat, studio: Studio, result: dict[str, Any]) -> dict[str, Any]:
    longest_ms, import_ms = heartbeat.longest_ms(studio.runner.torch_import_s)
    tally = tour.tally
    return {
        "miou_before": round(result["miou_before"], 4),
        "miou_after": round(result["miou_after"], 4),
        "train_seconds": round(tally.train_seconds, 1),
        "longest_stall_ms": round(longest_ms, 1),
        "import_stall_ms": round(import_ms, 1),
        "stalls": heartbeat.stalls(tour.stage_ends, studio.runner.torch_import_s),
        "images": len(tally.labelled_share),
        "strokes": tally.strokes,
        "labelled_share": round(min(tally.labelled_share), 4),
        "predicted_right_at_first": [round(a, 4) for a in tally.first_agreement],
        "fine_tunes": tally.outcomes,
        "trained_items": result["trained_items"],
        "scored_items": result["scored_items"],
        "stages": tally.stages,
        "load1": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _summary(report: dict[str, Any], out: Path) -> str:
    return (
        f"mIoU on {len(report['scored_items'])} test images: {report['miou_before']:.3f} before, "
        f"{report['miou_after']:.3f} after {report['train_seconds']:.0f} s of fine-tuning on "
        f"{report['images']} corrected images ({report['strokes']} strokes and outlines).\n"
        f"Longest stall of the window: {report['longest_stall_ms']:.0f} ms "
        f"(import of torch: {report['import_stall_ms']:.0f} ms).\n"
        f"Pictures, masks and report.json: {out}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pspnet-studio tour",
        description="Drive the real window through the whole job on a copy of a data set whose masks are hidden.",
    )
    parser.add_argument("--data", type=Path, help="data-set folder (default: the sample)")
    parser.add_argument("--images", type=int, help="how many images are corrected")
    parser.add_argument("--seconds", type=float, help="time for fine-tuning, all together")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fine-tunes")
    parser.add_argument("--out", type=Path, default=Path("tour-out"), help="folder for pictures and report.json")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda[:N] or mps")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON line")
    return parser
