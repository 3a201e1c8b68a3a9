"""The channels of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.notices.command import Command
from neurolink_mitm.notices.desktop import Desktop
from neurolink_mitm.notices.event import Event
from neurolink_mitm.notices.webhook import Webhook


class Channel(Protocol):
    """A way to the user."""

    @property
    def name(self) -> str: ...

    async def send(self, event: Event) -> str:
        """Deliver the event within a bounded time, and return how. Raises `Undelivered`."""


def channels_of(
    notify: Notify, environ: Mapping[str, str], network: Network
) -> tuple[Channel, ...]:
    """Return the channels that are on."""
    channels: list[Channel] = []
    if notify.desktop:
        channels.append(Desktop(environ))
    if notify.webhook and notify.secret:
        channels.append(Webhook(notify.webhook, notify.secret, network.client))
    if notify.command:
        channels.append(Command(notify.command, environ))
    return tuple(channels)
