"""A reply as a list of acts (pure), and the ASGI application that plays them."""

import asyncio
import enum
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.content import Content
from neurolink_mitm.sandbox.recorder import Received, Recorder


@dataclass(frozen=True)
class Head:
    """Send the head of the response."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Pause:
    """Wait, or until the client leaves."""

    seconds: float


class Last(enum.Enum):
    """The last act of a response."""

    END = enum.auto()
    CUT = enum.auto()
    RESET = enum.auto()
    STALL = enum.auto()


Act = Head | Pause | Last | bytes
Gone = asyncio.Future[None]
"""Done when the client has left."""


def acts(reply: Reply, head: Head, content: Content) -> Iterator[Act]:
    """Return the acts of `reply` with its head and content."""
    cut = Last.RESET if reply.reset else Last.CUT
    if reply.delay:
        yield Pause(reply.delay)
    if reply.hang_up:
        yield cut
    elif reply.stall_after == 0:
        yield Last.STALL
    else:
        yield head
        yield from _body_acts(reply, content, cut)


def _body_acts(reply: Reply, content: Content, cut: Last) -> Iterator[Act]:
    if reply.stall_after == "head":
        yield Last.STALL
        return
    # an end beyond the last write comes right after it, in place of the clean end
    most = 1 if content.pieces else len(content.writes)
    broken = ((reply.cut_after, cut), (reply.stall_after, Last.STALL))
    ends = [(min(n, most), last) for n, last in broken if n is not None]
    length, last = min((*ends, (len(content.writes), Last.END)), key=lambda end: end[0])
    for n, write in enumerate(content.writes[:length]):
        if n and reply.event_delay:
            yield Pause(reply.event_delay)
        yield write
    yield last


class Playback:
    """An ASGI application that plays acts to one client, and stops when the client leaves.

    ASGI can't break off a connection: a cut uses the transport, which `wire` puts into the scope.
    """

    def __init__(self, acts: Iterable[Act], received: Received, recorder: Recorder) -> None:
        self._acts = acts
        self._received = received
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            for act in self._acts:
                if gone.done():
                    self._recorder.left(self._received)
                    break
                await self._play(act, scope, send, gone)
        finally:
            gone.cancel()

    async def _play(self, act: Act, scope: Scope, send: Send, gone: Gone) -> None:
        match act:
            case Head(status, headers):
                start = {"type": "http.response.start", "status": status, "headers": headers}
                await send(start)
            case bytes():
                await send({"type": "http.response.body", "body": act, "more_body": True})
            case Pause(seconds):
                await asyncio.wait((gone,), timeout=seconds)
            case Last.END:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            case Last.STALL:
                await asyncio.wait((gone,))
                self._recorder.left(self._received)
            case Last.CUT | Last.RESET:
                close(scope["state"]["transport"], reset=act is Last.RESET)
                await asyncio.wait((gone,))


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def close(transport: asyncio.Transport, *, reset: bool) -> None:
    """Close the connection before the end of the response. Written bytes go out first, unless it is a reset."""
    if not reset:
        transport.close()
        return
    # to linger for no time is a reset: https://man7.org/linux/man-pages/man7/socket.7.html
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
