"""Joins what belongs together, to save time: sends to one peer into one write, chunks of one read into one event."""

from __future__ import annotations

from collections.abc import Sequence

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ResponseData


def same_peer(sends: Sequence[commands.SendData], command: commands.SendData) -> bool:
    """Return whether `command` sends to the connection of `sends`."""
    return bool(sends) and sends[0].connection is command.connection


def merged(sends: Sequence[commands.SendData]) -> CommandGenerator[None]:
    """Join sends to one connection into one."""
    if len(sends) == 1:
        yield sends[0]
    elif sends:
        yield commands.SendData(sends[0].connection, b"".join(send.data for send in sends))


class Joined(layer.Layer):
    """An upstream's layer whose chunks of one read reach the stream as one event, to pass the layers once."""

    def __init__(self, inner: layer.Layer) -> None:
        self._inner = inner

    def handle_event(self, event: events.Event) -> CommandGenerator[None]:
        parts: list[ResponseData] = []
        for command in self._inner.handle_event(event):
            if isinstance(command, ReceiveHttp) and isinstance(command.event, ResponseData):
                parts.append(command.event)
                continue
            if parts:
                yield _joined(parts)
                parts = []
            yield command
        if parts:
            yield _joined(parts)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        return self.handle_event(event)


def _joined(parts: Sequence[ResponseData]) -> ReceiveHttp:
    if len(parts) == 1:
        return ReceiveHttp(parts[0])
    return ReceiveHttp(ResponseData(parts[0].stream_id, b"".join(part.data for part in parts)))
