"""``pspnet-studio``: the studio, the tour, and the commands of the core."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

CORE_COMMANDS = (
    "train",
    "predict",
    "evaluate",
    "import-weights",
    "export-onnx",
    "export",
    "import",
    "sample-video",
    "doctor",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in CORE_COMMANDS:
        from pspnet_core import cli

        return cli.main(arguments)
    _one_thread_for_numpy()
    if arguments and arguments[0] == "tour":
        problem = display_problem()
        if problem:
            print(problem, file=sys.stderr)  # noqa: T201
            return 1
        from pspnet_studio import log_file
        from pspnet_studio.tour.command import main as tour_main

        log_file.install()

        return tour_main(arguments[1:])
    return _studio(arguments)


def _studio(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    problem = display_problem()
    if problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    _load_c10_before_qt()
    from pspnet_studio import log_file

    log_file.install()
    from pspnet_studio.bootstrap import bootstrap
    from pspnet_studio.excepthook import install

    studio = bootstrap(["pspnet-studio"], device=options.device)
    install(studio.session.notice.emit)
    studio.window.show()
    if options.sample:
        studio.window.commands.open_sample()
    elif options.paths:
        studio.window.intake.open([Path(path) for path in options.paths])
    return studio.application.exec()


def _one_thread_for_numpy() -> None:
    """Keep numpy's products, in the lane of live refine, from taking all cores; to be called before numpy is imported.

    Threads that wait for each other at barriers keep the window and the network waiting many times as long as they
    save, where there are as many of them as cores. torch's threads are set in its own lane.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def display_problem() -> str:
    """Why no window can be shown, and the command that mends it; empty when one can."""
    try:
        import PySide6.QtWidgets  # noqa: F401
    except ImportError as error:
        return f"Qt could not be loaded: {error}\n{_apt('libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1')}"
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return ""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return (
            "There is no display (DISPLAY and WAYLAND_DISPLAY are not set).\n"
            "Start it on a desktop, or run `xvfb-run -a pspnet-studio tour` to see it work without one."
        )
    import ctypes.util

    if not os.environ.get("WAYLAND_DISPLAY") and ctypes.util.find_library("xcb-cursor") is None:
        return f"A system library of Qt is missing: libxcb-cursor0.\n{_apt('libxcb-cursor0')}"
    return ""


def _apt(packages: str) -> str:
    return f"On Debian or Ubuntu: sudo apt-get install {packages}"


def _load_c10_before_qt() -> None:
    """On Windows torch's c10.dll must be loaded before Qt (pytorch/pytorch#166628); not tried here."""
    if sys.platform != "win32":
        return
    import ctypes
    import importlib.util

    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.origin is not None:
        dll = Path(spec.origin).parent / "lib" / "c10.dll"
        if dll.exists():
            ctypes.CDLL(str(dll))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pspnet-studio",
        description="Teach a segmentation network by correcting it.",
        epilog="Commands: tour, " + ", ".join(CORE_COMMANDS) + "; `pspnet-studio COMMAND --help` explains each.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="folder(s), image(s) or a project")
    parser.add_argument("--sample", action="store_true", help="open the sample project")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda[:N] or mps (default: auto)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
