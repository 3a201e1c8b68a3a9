from __future__ import annotations

from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ResponseData, ResponseEndOfMessage

from neurolink_mitm.dataplane.joining import Joined, merged, same_peer

ONE, OTHER = (Server(address=(host, 443)) for host in ("a", "b"))


class Upstream(layer.Layer):
    """Yields what a read brought: chunks, and what stands between them."""

    def __init__(self, *commands_: commands.Command) -> None:
        self.commands = commands_

    def handle_event(self, event: events.Event) -> CommandGenerator[None]:
        yield from self.commands

    _handle_event = handle_event


def chunk(data: bytes) -> ReceiveHttp:
    return ReceiveHttp(ResponseData(1, data))


def test_chunks_of_one_read_are_one_event_and_nothing_overtakes_them() -> None:
    end = ReceiveHttp(ResponseEndOfMessage(1))
    upstream = Joined(Upstream(chunk(b"a"), chunk(b"b"), end, chunk(b"c")))
    joined = list(upstream.handle_event(events.Start()))
    data = [c.event.data for c in joined if isinstance(c, ReceiveHttp) and c is not end]  # type: ignore[attr-defined]
    assert (data, joined[1]) == ([b"ab", b"c"], end)


def test_only_what_goes_to_one_peer_is_one_write() -> None:
    sends = [commands.SendData(ONE, b"a"), commands.SendData(ONE, b"b")]
    assert same_peer(sends, commands.SendData(ONE, b"c"))
    assert not same_peer(sends, commands.SendData(OTHER, b"c"))
    assert not same_peer([], sends[0])
    assert [send.data for send in merged(sends) if isinstance(send, commands.SendData)] == [b"ab"]
    assert list(merged([])) == []
