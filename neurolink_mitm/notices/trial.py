"""Sends a test event through channels now, for `neurolink notify test`: it waits for no quiet hours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from neurolink_mitm.notices.channels import Channel
from neurolink_mitm.notices.daemon_threads import DaemonThreads
from neurolink_mitm.notices.event import Event
from neurolink_mitm.notices.undelivered import Undelivered


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the test event in one channel: `text` is how it was delivered, or why not."""

    channel: str
    ok: bool
    text: str
    milliseconds: int


def try_channels(channels: Sequence[Channel], event: Event) -> list[Outcome]:
    """Send the event through all channels beside each other. Takes a bounded time."""
    return asyncio.run(_try_all(channels, event))


async def _try_all(channels: Sequence[Channel], event: Event) -> list[Outcome]:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    return await asyncio.gather(*(_try(channel, event) for channel in channels))


async def _try(channel: Channel, event: Event) -> Outcome:
    began = time.monotonic()
    try:
        ok, text = True, await channel.send(event)
    except Undelivered as e:
        ok, text = False, str(e)
    return Outcome(channel.name, ok, text, round((time.monotonic() - began) * 1000))
