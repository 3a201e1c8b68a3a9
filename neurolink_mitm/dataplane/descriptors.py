"""The limit of open files and sockets: raised at the start, and what happens to new clients where it is reached."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from neurolink_mitm.dataplane.throttled_warning import ThrottledWarning

logger = logging.getLogger("neurolink.clients")

WANTED = 65_536
FALLBACKS = (WANTED, 10_240, 4096, 1024)
"""Limits to try in turn: macOS names no hard limit and takes no more than 10,240 by default."""
OURS = 64
"""Descriptors for files, logs and listeners."""
FEWEST = 8
"""Clients at least, however low the limit is."""

AGAIN = 0.5
"""Seconds for descriptors to become free; asyncio accepts again after one second."""

_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def raise_limit() -> int:
    """Raise the soft limit of descriptors as far as it goes, and return it."""
    try:
        import resource
    except ImportError:  # Windows has none
        return WANTED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else hard
    for wanted in (min(most, each) for each in FALLBACKS):
        if soft != resource.RLIM_INFINITY and wanted > soft:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def clients_within(limit: int) -> int:
    """Return the number of clients for a limit of descriptors: each client may need one for upstream."""
    return max(FEWEST, (limit - OURS) // 2)


def is_shortage(error: BaseException | None) -> bool:
    """Whether `error` came because no descriptor was left, or none is left now."""
    if isinstance(error, OSError) and error.errno in _SHORTAGE:
        return True
    try:  # a name can't be looked up without one, which is said in other words
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as e:
        return e.errno in _SHORTAGE
    return False


class Shortage:
    """Turns new clients away when no descriptor is left for them, nor can be made free.

    asyncio would log a hundred tracebacks at a time and leave the clients unanswered. One descriptor is a spare:
    with it a client is accepted and closed at once.
    """

    def __init__(self, make_room: Callable[[], bool] = lambda: False) -> None:
        """`make_room` closes what is not needed. It returns False if there is nothing of that kind."""
        self._make_room = make_room
        self._room_until = 0.0
        """Seconds of the loop's clock; until then clients wait."""
        self._spare: int | None = None
        self._previous: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line = ThrottledWarning(
            logger, "no file descriptor is left: new clients are turned away, see `ulimit -n`"
        )

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle this loop's exceptions from now on."""
        if self._loop is not loop:
            self._loop, self._previous = loop, loop.get_exception_handler()
            loop.set_exception_handler(self._handle)
            self._keep_spare()

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, listener = context.get("exception"), context.get("socket")
        if isinstance(error, OSError) and error.errno in _SHORTAGE and listener is not None:
            if loop.time() < self._room_until:
                return
            if self._make_room():
                self._room_until = loop.time() + AGAIN
                return
            self._line.warn()
            self._turn_away(listener.fileno())
        elif self._previous:
            self._previous(loop, context)
        else:
            loop.default_exception_handler(context)

    def _turn_away(self, listener: int) -> None:
        self.close()
        view = socket.socket(fileno=listener)
        try:
            with suppress(OSError):
                view.accept()[0].close()
        finally:
            view.detach()
            self._keep_spare()

    def _keep_spare(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
