"""How far this machine's clock is from a server's: what ends at a time depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.oauth_wire import Wire

LIMIT = 5.0


def measure(
    url: str,
    network: Network | None = None,
    own: str | None = None,
    *,
    limit: float = LIMIT,
    clock: Callable[[], float] = time.time,
) -> float | None:
    """Seconds that our clock is ahead of the server's, by the `Date` of its answer to `HEAD url`.

    Whatever status it answers with will do. None where it can't be reached within `limit` seconds
    or tells no time. `Date` is in whole seconds, so less than two is nothing. Blocks; doesn't raise.
    """
    wire = Wire(clock, limit, network)
    wire.ask("HEAD", url, {}, own=own)
    return wire.skew
