"""What has changed goes to all browsers that show it.

Twenty looks at the proxy for twenty browsers would be the same twenty times. So there is one look for all, every
`EVERY` seconds while somebody looks, and each browser gets the parts whose HTML it does not have. What waits for a
slow browser is the newest HTML of each part, never a queue: a burst of changes is one update.

Looks, in place of events from the proxy: much of what is shown changes without one (a cooldown ends, tokens come), and
with an event each hook of a flow would have to know the dashboard. A look at what has not changed costs next to
nothing (`parts.LiveParts`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.dashboard.failures import log_failure
from neurolink_mitm.dashboard.web.access import Access, Session
from neurolink_mitm.dashboard.web.guard import session_of
from neurolink_mitm.dashboard.web.parts import Fragment, LiveParts

EVERY = 0.2
"""Seconds between two looks at the proxy."""
REST = 4.0
"""A look is followed by a pause of so many times its length, so that looks take a fifth of the time at most. If only
one takes long, as the first one does, that does not count."""
HELLO_SECONDS = 5.0
"""Until the first message, with the key."""
SEND_SECONDS = 5.0
"""A browser that reads nothing for so long is left alone, and its connection is cut (`wire`). It may come back: then it
is sent everything."""
BEAT_SECONDS = 10.0
"""A browser that has heard nothing for so long is sent the time: that tells it, too, that we are there."""
MAX_BROWSERS = 50
MAX_STRANGERS = 20
"""Sockets that have not named their session yet."""
SIGNED_OUT = 4401
"""The code with which a WebSocket without a session is closed: it need not come back."""
TRY_AGAIN, NOT_ASKED = 1013, 1008
"""https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number"""


class Hello(msgspec.Struct):
    """The first message of a browser: its key, and the parts that it shows with their digests."""

    key: str
    parts: dict[str, str] = {}


@dataclass(eq=False)
class Browser:
    """A browser that looks. `sent` is the digest of each part that it has."""

    session: Session
    parts: frozenset[str]
    sent: dict[str, str]
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """Looks at the proxy while browsers do, and sends them what has changed."""

    def __init__(self, parts: LiveParts, access: Access, every: float = EVERY) -> None:
        self._parts = parts
        self._access = access
        self._every = every
        self._browsers: set[Browser] = set()
        self._strangers = 0
        self._current: Mapping[str, Fragment] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def looking(self) -> bool:
        """Whether anybody looks."""
        return self._looking is not None and not self._looking.done()

    def count(self) -> int:
        """Return how many browsers look."""
        return len(self._browsers)

    async def serve(self, socket: WebSocket) -> None:
        """Serve a browser until it leaves, or its session ends."""
        await socket.accept()
        browser = await self._hello(socket)
        if isinstance(browser, int):
            await _close(socket, browser)
            return
        self._browsers.add(browser)
        if not self.looking:
            self._looking = asyncio.create_task(self._look())
        try:
            code = await self._until_it_ends(socket, browser)
        finally:
            self._browsers.discard(browser)
        await _close(socket, code)

    async def _hello(self, socket: WebSocket) -> Browser | int:
        """Return the browser by its first message, or the code with which the socket is closed."""
        if self._strangers >= MAX_STRANGERS or len(self._browsers) >= MAX_BROWSERS:
            return TRY_AGAIN
        self._strangers += 1
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                text = await socket.receive_text()
            hello = msgspec.json.decode(text, type=Hello)
        except TimeoutError:
            return TRY_AGAIN
        except (WebSocketDisconnect, KeyError, *UNREADABLE):
            return NOT_ASKED
        finally:
            self._strangers -= 1
        if (session := session_of(socket, self._access, hello.key)) is None:
            return SIGNED_OUT
        has = {name: mark for name, mark in hello.parts.items() if name in self._parts.names}
        return Browser(session, frozenset(has), has)

    async def _until_it_ends(self, socket: WebSocket, browser: Browser) -> int | None:
        """Send what changes. Return the code to close with; None where the browser is gone."""
        sending = asyncio.create_task(self._send(socket, browser))
        receiving = asyncio.create_task(_receive(socket))
        tasks = (sending, receiving)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task.done()).result()
        finally:
            for task in tasks:
                task.cancel()

    async def _send(self, socket: WebSocket, browser: Browser) -> int | None:
        """Send what changes until that is of no use any more; return as `_until_it_ends`."""
        clock = asyncio.get_running_loop().time
        sent_at = -math.inf
        while self._access.goes_on(browser.session):
            messages = [self._clock_message()] if clock() - sent_at >= BEAT_SECONDS else []
            current = news(self._current, browser.parts, browser.sent)
            browser.sent |= {name: fragment.digest for name, fragment in current.items()}
            messages += [fragment.message for fragment in current.values()]
            for message in messages:
                if not await _pass(socket, message):
                    return None
                sent_at = clock()
            await browser.changed.wait()
            browser.changed.clear()
        return SIGNED_OUT

    def _clock_message(self) -> str:
        """Return the message with our time in milliseconds: the browser's clock may be another machine's."""
        return msgspec.json.encode({"now": round(self._parts.now() * 1000)}).decode()

    async def _look(self) -> None:
        clock = asyncio.get_running_loop().time
        thread = CapacityLimiter(1)  # of its own: it waits for no page
        before = 0.0
        while self._browsers:
            began = clock()
            wanted: frozenset[str] = frozenset().union(*(each.parts for each in self._browsers))
            try:
                self._current = await to_thread.run_sync(
                    self._parts.look, wanted, abandon_on_cancel=True, limiter=thread
                )
            except Exception:
                log_failure("the dashboard can't show what has changed")
            for browser in self._browsers:
                browser.changed.set()
            before, took = clock() - began, min(before, clock() - began)
            await asyncio.sleep(max(self._every, REST * took))
        self._current = {}


def news(
    current: Mapping[str, Fragment], parts: Collection[str], sent: Mapping[str, str]
) -> dict[str, Fragment]:
    """Return the parts of which a browser does not have the current HTML."""
    return {
        name: fragment
        for name, fragment in current.items()
        if name in parts and sent.get(name) != fragment.digest
    }


async def _receive(socket: WebSocket) -> int | None:
    """Wait until the browser leaves: None. It has nothing to say; if it does, return the code to close with."""
    try:
        await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError):
        return None
    except KeyError:  # bytes
        pass
    return NOT_ASKED


async def _pass(socket: WebSocket, message: str) -> bool:
    """Send a message. Return whether that was possible: the browser may have left, or read nothing."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await socket.send_text(message)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        return False
    return True


async def _close(socket: WebSocket, code: int | None) -> None:
    if code is None:
        return
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(SEND_SECONDS):
            await socket.close(code)
