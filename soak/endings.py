"""How an upstream's connections end: right after they were accepted, after idleness, as a response's script says.

A script names an ending in a header of the response, `MARK`.
"""

import random
from asyncio import Transport, get_running_loop
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from neurolink_mitm.sandbox.playback import close
from neurolink_mitm.sandbox.wire import Protocol

Scripted = Literal["in its head", "more than asked", "reset when idle"]
SCRIPTED: tuple[Scripted, ...] = get_args(Scripted)
MARK = "x-soak-ending"
IDLE = 1
"""Seconds after which an unused connection is closed, by the server itself if it was used before."""
ENDINGS = (*SCRIPTED, "accepted", "unused")
"""Those that a run must have."""

_ACCEPTED = 0.02
"""The share of connections that are closed as soon as they stand."""
_RESET_WITHIN = 0.3
_LAST_CHUNK = b"0\r\n\r\n"
_BODY = b'{"type":"message","model":"claude-soak-0","content":[],"stop_reason":"end_turn"}'
UNASKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
"""A response that nobody has asked for: a client that gets it has another request's."""


class EndingTransport:
    """A transport that spoils what is written through it as the response's head says."""

    def __init__(self, transport: Transport, note: Callable[[str], None]) -> None:
        """`note` is called with each ending that is played."""
        self._transport = transport
        self._note = note
        self.ending: str = ""
        """That of the response which is being written."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            self.ending = ending_in(data)
        if self._transport.is_closing():
            return
        if self.ending == "in its head":
            self._note(self.ending)
            self._transport.write(data[: len(data) // 2])
            self._transport.close()
        elif self.ending == "more than asked" and data == _LAST_CHUNK:
            self._note(self.ending)
            # in one piece: a request may be sent as soon as a response has ended
            self._transport.write(data + UNASKED)
        else:
            self._transport.write(data)


class EndingProtocol(Protocol):
    """A connection of the sandbox that ends as `ENDINGS` say."""

    _record: ClassVar[Any]

    @classmethod
    def recording(cls, path: Path) -> type["EndingProtocol"]:
        """Return the class, which appends to `path` how connections end."""
        return type("RecordingProtocol", (cls,), {"_record": path.open("ab", buffering=0)})

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in uvicorn
        self._spoiling = EndingTransport(transport, self._note)
        super().connection_made(self._spoiling)  # type: ignore[arg-type]
        if random.random() < _ACCEPTED:
            self._note("accepted")
            transport.abort()
        get_running_loop().call_later(IDLE, self._end_unused)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._spoiling.ending == "reset when idle":
            within = random.uniform(0, _RESET_WITHIN)
            get_running_loop().call_later(within, self._reset, self.cycle)

    def _end_unused(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self._note("unused")
            self.transport.close()

    def _reset(self, cycle: object) -> None:
        """Reset it, unless a request has come since that of `cycle`."""
        if self.cycle is cycle and not self.transport.is_closing():
            self._note("reset when idle")
            close(self.transport, reset=True)

    def _note(self, ending: str) -> None:
        self._record.write(ending.encode() + b"\n")


def ending_in(head: bytes) -> str:
    """Return the ending that a response's head names; an empty text if there is none."""
    _, found, after = head.partition(b"\r\n%s: " % MARK.encode())
    return after.partition(b"\r\n")[0].decode() if found else ""
