"""HTTP for the OAuth client: a response is a value, even if the request failed.

Proxies and authorities are those of `network`; redirections are not followed; decompression is bounded. Connections
are httpx's, a new one for each request, or those of another transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from neurolink_mitm import __version__
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.probe import certificate_fault, issuer_of
from neurolink_mitm.core.auth import oauth
from neurolink_mitm.core.failover.unreachable import refused_by, untrusted
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import MASK, redact
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.target import Target, Via
from neurolink_mitm.dataplane.codings import CodingError, decoding

LARGEST = 256 * 1024
"""Bytes of a response, compressed and decompressed, at most."""
_PIECE = 1024
"""Bytes that are decompressed at once: a piece that grows a thousandfold is noticed at one megabyte."""
TICK = 1.0
"""Seconds between two looks at the time."""
LATE = 0.5
"""Seconds by which a timer is late in a process that was stopped meanwhile."""
_LONGEST_MESSAGE = 200
"""Characters of a server's message that are shown."""
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",  # some edges compress all the same
    "user-agent": f"neurolink/{__version__}",
}
Transport = Callable[[Via | None], httpx.AsyncBaseTransport]
"""Makes the transport of a request, by the HTTP proxy on its way."""
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.InvalidURL)


@dataclass(frozen=True, slots=True)
class Response:
    """A response. `status` is None if none came; `fault` is the reason then."""

    url: str
    status: int | None = None
    body: bytes = b""
    retry_after: float | None = None
    fault: str = ""
    reached: bool = True
    """Whether there was a connection."""

    def describe(self, *secrets: Secret) -> str:
        """Return one line for people, with `secrets` and what looks like one masked."""
        host = urlsplit(self.url).hostname
        if self.status is None:
            return f"{host} {self.fault}"
        words = ": ".join(part for part in oauth.oauth_error(self.body) if part)
        for secret in secrets:
            if secret:
                words = words.replace(secret.reveal(), MASK)
        words = "".join(c if c.isprintable() else " " for c in redact(words))[:_LONGEST_MESSAGE]
        return f"{host} answered {self.status}" + (f": {words}" if words else "")


@asynccontextmanager
async def timeout_while_awake(seconds: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` after `seconds` in which this process ran.

    New tokens may have come while it was stopped: a time-out would lose them, and with them the login.
    """
    loop, left = asyncio.get_running_loop(), seconds
    timer: asyncio.Handle

    def tick(due: float, step: float) -> None:
        nonlocal left, timer
        now = loop.time()
        left = left - step if now - due < LATE else max(left - step, LATE)
        if left <= 0:
            limit.reschedule(now)
        else:
            timer = loop.call_later(min(left, TICK), tick, now + min(left, TICK), min(left, TICK))

    async with asyncio.timeout(None) as limit:
        timer = loop.call_soon(tick, loop.time(), 0.0)
        try:
            yield
        finally:
            timer.cancel()


class Wire:
    """Sends requests, each for `timeout` seconds at most, and measures the clock skew."""

    def __init__(
        self,
        clock: Callable[[], float],
        timeout: float,
        network: Network | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._network = network or Network()
        self._transport = transport
        self.skew: float | None = None

    async def post(
        self, urls: Sequence[str], body: Mapping[str, str], own: str | None = None
    ) -> Response:
        """Return the first response of `urls` that settles the matter. `own` is the account's `proxyUrl`."""
        response = Response(urls[0])
        for url in urls:
            response = await self.send("POST", url, {}, body, own)
            if not oauth.asks_second_url(response.status):
                break
        return response

    def post_now(self, urls: Sequence[str], body: Mapping[str, str]) -> Response:
        """Do what `post` does, blocking."""
        return asyncio.run(self.post(urls, body))

    def ask(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str],
        body: object = None,
        own: str | None = None,
    ) -> Response:
        """Do what `send` does, blocking."""
        return asyncio.run(self.send(method, url, fields, body, own))

    async def send(
        self, method: str, url: str, fields: Mapping[str, str], body: object, own: str | None
    ) -> Response:
        """Send one request, and read the response up to `LARGEST` bytes."""
        try:
            options = await asyncio.to_thread(self._options, url, own)
        except ValueError as e:
            return Response(url, fault=f"can't be asked: {e}", reached=False)
        try:
            async with (
                timeout_while_awake(self._timeout),
                httpx.AsyncClient(**options) as client,
                client.stream(method, url, headers=dict(fields), json=body) as response,
            ):
                data = b""
                async for chunk in response.aiter_raw():
                    data += chunk
                    if len(data) > LARGEST:
                        break
                return self._received(url, response, data)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:  # TimeoutError is an OSError
            return await asyncio.to_thread(self._failed, url, e, own)

    def _options(self, url: str, own: str | None = None) -> dict[str, Any]:
        """Return httpx's arguments; the first call takes tens of milliseconds. Raises `ValueError`."""
        options: dict[str, Any] = {"timeout": self._timeout, "headers": _HEADERS}
        if self._transport is None:
            return options | self._network.client(url, own)
        via = self._network.proxies.via(url, own)
        return options | {"trust_env": False, "transport": self._transport(via)}

    def _received(self, url: str, response: httpx.Response, data: bytes) -> Response:
        now = self._clock()
        self.skew = _skew(response.headers.get("date"), now, self.skew)
        wait = headers.retry_after(tuple(response.headers.raw), now)
        body = _decoded(data, response.headers.get("content-encoding", ""))
        return Response(url, response.status_code, body, wait)

    def _failed(self, url: str, e: Exception, own: str | None = None) -> Response:
        """Return the response of a failed request. Blocks to read the issuer of an untrusted certificate."""
        via = self._network.proxies.via(url, own)
        if reason := certificate_fault(e):
            target = Target.parse(url)
            issuer = issuer_of(target, via, self._network.context)
            fault = f"can't be asked: {untrusted(target.host, reason, issuer)}"
        else:
            fault = _fault(e, via, urlsplit(url).hostname or "")
        return Response(url, fault=fault, reached=not isinstance(e, _UNREACHED))


def _decoded(data: bytes, coding: str) -> bytes:
    """Decompress `data`; return nothing if it is broken or grows beyond `LARGEST`."""
    decoder = decoding(coding)
    if decoder is None:
        return data
    body = b""
    try:
        for at in range(0, len(data), _PIECE):
            body += decoder.feed(data[at : at + _PIECE])
            if len(body) > LARGEST:
                return b""
    except CodingError:
        return b""
    return body


def _skew(date: str | None, now: float, before: float | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
        return now - moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return before


def _fault(e: Exception, via: Via | None, host: str) -> str:
    """Describe an error by its type, not by its text, which may quote what was sent."""
    proxy = f"the HTTP proxy {via.shown} ({via.source})" if via else ""
    if isinstance(e, httpx.ProxyError) and via:
        status = str(e)[:3]  # httpcore: "407 Proxy Authentication Required"
        if status.isdigit():
            return f"can't be reached: {proxy} {refused_by(int(status), str(e)[4:], via, host)}"
    if isinstance(e, (httpx.TimeoutException, TimeoutError)):
        return "did not answer in time" + (f", through {proxy}" if via else "")
    if isinstance(e, httpx.ConnectError | httpx.ProxyError):
        return f"can't be reached: {proxy} can't be reached" if via else "can't be reached"
    return f"broke off ({type(e).__name__})"
