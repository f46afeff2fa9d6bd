"""A bug in the window is shown and logged; it does not take the work down."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from types import TracebackType

from pspnet_core.errors import PspnetError
from pspnet_studio import log_file
from pspnet_studio.messages import tr

logger = logging.getLogger(__name__)

# The binding puts one of these before the message for each method of Qt that the error came through.
_WAY_THROUGH_QT = re.compile(r"^(?:Error calling Python override of [^()]*\(\): )+")


def install(show: Callable[[object], None]) -> None:
    """Report every exception that nobody caught through ``show``."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        logger.error("uncaught", exc_info=(kind, error, trace))
        if isinstance(error, PspnetError):
            show(error)
            return
        show(
            PspnetError(
                tr("Something unexpected happened; your work is kept."),
                f"{kind.__name__}: {_WAY_THROUGH_QT.sub('', str(error))}",
                log_file.how_to_report(),
            )
        )

    sys.excepthook = hook
