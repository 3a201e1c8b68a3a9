"""The feed of what a home's files hold: a thread brings them in step with Redis when something has changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.cluster.home.sync import Sync
from neurolink_mitm.cluster.redis.link import AwayError, Link, RefusedError
from neurolink_mitm.dataplane.threads import short_switch_interval

logger = logging.getLogger("neurolink.cluster")

LOOKS_EVERY = 0.25
"""Seconds between two looks at the home's files."""
WHOLE_EVERY = 30.0
"""Seconds after which all is compared, whatever seems to have changed."""
AGAIN = 1.0
"""Seconds after which it is tried again where Redis was away."""
GAP = 2.5
"""Seconds without a reading after which Redis counts as having been away."""


class Sharing:
    """Brings one home in step, on a thread of its own."""

    kind = "logins"

    def __init__(self, sync: Sync, paths: Sequence[Path], closed: Callable[[], None]) -> None:
        """`closed` is called once the proxy is by itself again."""
        self._sync = sync
        self._paths = paths
        self._closed = closed
        self._wake = threading.Event()
        self._ending = False
        self._has_read = False
        self._read_at = time.monotonic()
        self._worker = Worker(self._work, "cluster: entries")

    def heard(self, news: list[Any]) -> None:
        self._wake.set()

    async def push(self, link: Link) -> None:
        """Leave it to the thread."""

    async def read(self, link: Link) -> None:
        """Have all compared if Redis has other entries than this home, or was away.

        Raises `RefusedError` with what is not in step.
        """
        key = link.names.key("counter")
        counter = await link.ask(lambda redis: redis.getrange(key, 0, 31))
        now = time.monotonic()
        if now - self._read_at > GAP:
            self._sync.lost()
        if now - self._read_at > GAP or counter != self._sync.counter:
            self._wake.set()
        self._read_at = now
        if problems := self._sync.problems:
            raise RefusedError("; ".join(problems))

    def lost(self) -> None:
        """Wait for what others write back; not at the first reading, which says nothing of a loss."""
        if self._has_read:
            self._sync.lost()
        self._has_read = True
        self._wake.set()

    async def leave(self, link: Link) -> None:
        """Nothing of this is held."""

    def close(self) -> None:
        self._ending = True
        self._wake.set()
        self._closed()

    def _work(self) -> None:
        while not self._ending:
            self._wake.clear()
            before = self._signature()
            pause = WHOLE_EVERY
            try:
                with short_switch_interval():
                    self._sync.run()
            except AwayError as e:
                logger.debug("not in step: %s", e)
                pause = AGAIN
            self._rest(pause, before)

    def _rest(self, pause: float, before: object) -> None:
        """Wait until there is something to do, or `pause` is over."""
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline:
            if self._wake.wait(LOOKS_EVERY) or self._signature() != before:
                return

    def _signature(self) -> object:
        return [_signature(path) for path in self._paths]


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
