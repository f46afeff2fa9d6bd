"""Process start to the first painted window that answers a click.

    python -m tests.benchmarks.startup --json

Without a display a virtual one is started. The probe is the program's own start, plus a click that it sends to itself
right after the first paint.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.display import virtual_display

_PROBE = """
import os, sys, time
from pathlib import Path
from PySide6.QtCore import QEvent, QObject, QSettings, Qt, QTimer
from PySide6.QtTest import QTest
from pspnet_studio.bootstrap import bootstrap

class Probe(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and not hasattr(self, "seen"):
            self.seen = True
            QTimer.singleShot(0, lambda: QTest.mouseClick(watched.welcome, Qt.MouseButton.LeftButton))
        if event.type() == QEvent.Type.MouseButtonRelease and not hasattr(self, "answered"):
            self.answered = True
            window_s = time.time() - float(os.environ["PROBE_START"])
            pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
            rss_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6 if pages else -1
            print(window_s, rss_mb, "torch" in sys.modules, flush=True)
            os._exit(0)
        return False

store = QSettings(os.environ["PROBE_SETTINGS"], QSettings.Format.IniFormat)
studio = bootstrap(settings_store=store)
probe = Probe()
studio.window.installEventFilter(probe)
studio.window.welcome.installEventFilter(probe)
studio.window.show()
studio.application.exec()
"""


def measure(runs: int = 5) -> dict[str, object]:
    """Start it ``runs`` times (after one start that fills the disk cache); medians."""
    rows = []
    with virtual_display() as environment, tempfile.TemporaryDirectory() as folder:
        settings = str(Path(folder) / "settings.ini")
        for _ in range(runs + 1):
            start = {"PROBE_START": str(time.time()), "PROBE_SETTINGS": settings}
            output = subprocess.run(
                [sys.executable, "-c", _PROBE], env=environment | start, capture_output=True, text=True, check=True
            ).stdout
            window_s, rss_mb, torch_imported = output.split()
            rows.append((float(window_s), float(rss_mb), torch_imported == "True"))
    rows = rows[1:]
    return {
        "window_s": round(statistics.median(row[0] for row in rows), 3),
        "rss_mb": round(statistics.median(row[1] for row in rows), 1),
        "torch_imported": any(row[2] for row in rows),
        "runs": [round(row[0], 3) for row in rows],
        "load1": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="only the last line, one JSON object (also the default)")
    options = parser.parse_args()
    print(json.dumps(measure(options.runs)))


if __name__ == "__main__":
    main()
