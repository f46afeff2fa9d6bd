"""The log file that messages ask for: two files of 1 MB at most, and what the interpreter says when it crashes."""

from __future__ import annotations

import faulthandler
import logging
import platform
from logging.handlers import RotatingFileHandler
from pathlib import Path

import platformdirs
import PySide6

from pspnet_core import __version__
from pspnet_studio.messages import tr

logger = logging.getLogger(__name__)

_NAME, _CRASH_NAME = "studio.log", "crash.log"
_MAX_BYTES = 1_000_000
_OURS = ("pspnet_studio", "pspnet_core")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_folder() -> Path:
    """Where logs of the user's programs lie."""
    return Path(platformdirs.user_log_dir("pspnet-studio", appauthor=False))


def install(folder: Path | None = None) -> Path | None:
    """Write warnings of all and everything of ours from INFO on to a file; warnings go to the terminal, too.

    Args:
        folder: Where to; :func:`log_folder` when not given. It is made.

    Returns:
        The file; None when it cannot be written, which stops nothing.
    """
    folder = folder or log_folder()
    root = logging.getLogger()
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(terminal)
    faulthandler.enable()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / _NAME, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8")
        crash = (folder / _CRASH_NAME).open("ab")
    except OSError as error:
        logger.warning("no log file: %s", error)
        return None
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    faulthandler.enable(crash)  # it keeps the file
    logger.info("PSPNet Studio %s, Qt %s, %s", __version__, PySide6.__version__, _machine())
    return folder / _NAME


def current() -> Path | None:
    """The file that is written now, or None."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingFileHandler):
            return Path(handler.baseFilename)
    return None


def how_to_report() -> str:
    """What a person can do about a bug, with the path of the log file."""
    path = current()
    if path is None:
        return tr("Please report this with what the program wrote in its terminal.")
    return tr("Please report this with the log file: {path}").format(path=path)


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.platform()}"
