"""What fails while a page is made: it is logged, without what a form held."""

from __future__ import annotations

import logging
import traceback

from neurolink_mitm.core.redact.text import redact

logger = logging.getLogger("neurolink.dashboard")


class BusyError(Exception):
    """The loop of the flows does not answer."""


def log_failure(what: str) -> None:
    """Log the exception at hand with its traceback, without secrets."""
    logger.error("%s\n%s", what, redact(traceback.format_exc().rstrip()))
