"""What has changed goes to all browsers that show it.

Twenty looks at the proxy for twenty browsers would be the same twenty times. So there is one look for all, `EVERY` so
many seconds while somebody looks, and each browser gets the parts whose HTML it does not have. What waits for a slow
browser is the newest HTML of each part, never a queue: a burst of changes is one update.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.dashboard.access import Access
from neurolink_mitm.dashboard.guard import session_of
from neurolink_mitm.dashboard.parts import Fragment, Parts
from neurolink_mitm.dashboard.site import BusyError

logger = logging.getLogger("neurolink.dashboard")

EVERY = 0.2
"""Seconds between two looks at the proxy."""
HELLO_SECONDS = 5.0
"""Until the first message, with the key."""
SEND_SECONDS = 10.0
"""A browser that reads nothing for so long is dropped; it comes back and is sent everything."""
MAX_BROWSERS = 50
SIGNED_OUT, TOO_MANY = 4401, 4429
"""Codes with which a WebSocket is closed."""


class Hello(msgspec.Struct):
    """The first message of a browser: its key, and the parts that it shows."""

    key: str
    parts: list[str] = []


@dataclass(eq=False)
class Browser:
    """A browser that looks. `sent` is the digest of each part that it has."""

    parts: frozenset[str]
    sent: dict[str, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """Looks at the proxy while browsers do, and tells them what has changed."""

    def __init__(self, parts: Parts, access: Access) -> None:
        self._parts = parts
        self._access = access
        self._browsers: set[Browser] = set()
        self._current: Mapping[str, Fragment] = {}
        self._looking: asyncio.Task[None] | None = None

    async def serve(self, socket: WebSocket) -> None:
        """Serve a browser until it leaves, or its session ends."""
        await socket.accept()
        hello = await self._hello(socket)
        session = hello and session_of(socket, self._access, hello.key)
        if hello is None or session is None:
            await socket.close(SIGNED_OUT, "signed out")
            return
        if len(self._browsers) >= MAX_BROWSERS:
            await socket.close(TOO_MANY, "too many browsers")
            return
        browser = Browser(frozenset(hello.parts) & self._parts.live)
        self._browsers.add(browser)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        sending = asyncio.create_task(self._send(socket, browser))
        try:
            while session_of(socket, self._access, hello.key):
                await asyncio.wait_for(socket.receive_text(), None)
            await socket.close(SIGNED_OUT, "signed out")
        except (WebSocketDisconnect, KeyError):
            pass
        finally:
            sending.cancel()
            self._browsers.discard(browser)

    async def _hello(self, socket: WebSocket) -> Hello | None:
        try:
            text = await asyncio.wait_for(socket.receive_text(), HELLO_SECONDS)
            return msgspec.json.decode(text, type=Hello)
        except (TimeoutError, WebSocketDisconnect, KeyError, *UNREADABLE):
            return None

    async def _look(self) -> None:
        while self._browsers:
            wanted = frozenset().union(*(browser.parts for browser in self._browsers))
            try:
                self._current = await run_in_threadpool(self._parts.fragments, wanted)
            except BusyError:
                pass  # the next look may be answered
            except Exception:
                logger.exception("the dashboard can't show what has changed")
            for browser in self._browsers:
                browser.changed.set()
            await asyncio.sleep(EVERY)

    async def _send(self, socket: WebSocket, browser: Browser) -> None:
        while True:
            await browser.changed.wait()
            browser.changed.clear()
            for name, fragment in news(self._current, browser.parts, browser.sent).items():
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_text(message(name, fragment))
                browser.sent[name] = fragment.digest


def news(
    current: Mapping[str, Fragment], parts: Collection[str], sent: Mapping[str, str]
) -> dict[str, Fragment]:
    """Return the parts of which a browser does not have the current HTML."""
    return {
        name: fragment
        for name, fragment in current.items()
        if name in parts and sent.get(name) != fragment.digest
    }


def message(name: str, fragment: Fragment) -> str:
    """Return what htmx' extension for WebSockets puts in place of the part."""
    swap = {"target": f"#part-{name}", "swap": "outerMorph", "content": fragment.html}
    return msgspec.json.encode(swap).decode()
