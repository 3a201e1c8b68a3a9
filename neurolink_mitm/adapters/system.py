"""The clock, the dice and the ports of this machine."""

from __future__ import annotations

import os
import random
import socket
import time
from contextlib import suppress


class SystemClock:
    """Wall-clock time, in seconds since the epoch."""

    def now(self) -> float:
        return time.time()


class SystemChance:
    """Ids and jitter. None of them guards anything, but ids come from the kernel so that none repeats."""

    def request_id(self) -> str:
        return f"req_nl_{os.urandom(10).hex()}"

    def hex(self, length: int) -> str:
        return os.urandom((length + 1) // 2).hex()[:length]

    def jitter(self) -> float:
        return random.random()


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or any other where that is taken."""
    for port in (wanted, 0):
        with suppress(OSError), socket.create_server((host, port)) as found:
            return int(found.getsockname()[1])
    return wanted
