"""A reply as a list of acts, which is pure, and those acts on the wire."""

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
    status: int
    headers: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Pause:
    seconds: float


class Last(enum.Enum):
    """How it ends."""

    END = enum.auto()
    CUT = enum.auto()
    RESET = enum.auto()
    STALL = enum.auto()


Act = Head | Pause | Last | bytes
Gone = asyncio.Future[None]  # done when the client has left


def acts(reply: Reply, head: Head, content: Content) -> Iterator[Act]:
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
    # an end that lies behind the last write comes there, in place of the clean one
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
    """
    An ASGI application that plays acts to one client, and stops when it has left.

    ASGI knows no way to break off a connection: a cut needs the transport, which `wire` hands on.
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
                _close(scope["state"]["transport"], reset=act is Last.RESET)
                await asyncio.wait((gone,))


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _close(transport: asyncio.Transport, reset: bool) -> None:
    """Without the end of the answer. What was written before goes out first, unless it is reset."""
    if not reset:
        transport.close()
        return
    # to linger for no time is to reset: https://man7.org/linux/man-pages/man7/socket.7.html
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
