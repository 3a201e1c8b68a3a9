"""What the OAuth client needs of HTTP: an answer is a value, whatever became of the request.

Proxies of the environment are respected (httpx's default), redirections are not followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from neurolink_mitm import __version__
from neurolink_mitm.core import headers, oauth
from neurolink_mitm.core.redaction import STARS, redact
from neurolink_mitm.core.secret import Secret

LARGEST = 256 * 1024
"""Bytes of an answer that are read."""
_LONGEST_SAID = 200
_HEADERS = {"accept": "application/json", "user-agent": f"neurolink/{__version__}"}
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.InvalidURL)


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is None where none came; `fault` then says why."""

    url: str
    status: int | None = None
    body: bytes = b""
    retry_after: float | None = None
    fault: str = ""
    reached: bool = True
    """Whether there was a connection at all."""

    def said(self, *secrets: Secret) -> str:
        """One line of what came, without `secrets` and what else looks like one."""
        host = urlsplit(self.url).hostname
        if self.status is None:
            return f"{host} {self.fault}"
        words = ": ".join(part for part in oauth.refusal(self.body) if part)
        for secret in secrets:
            if secret:
                words = words.replace(secret.reveal(), STARS)
        words = "".join(c if c.isprintable() else " " for c in redact(words))[:_LONGEST_SAID]
        return f"{host} answered {self.status}" + (f": {words}" if words else "")


class Wire:
    """Asks, for at most `timeout` seconds an address, and compares clocks."""

    def __init__(self, clock: Callable[[], float], timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self.skew: float | None = None

    async def post(self, urls: Sequence[str], body: Mapping[str, str]) -> Answer:
        """The answer of the first address that has something to say; `urls` isn't empty."""
        try:
            # reading the certificates takes tens of milliseconds, which aren't the event loop's
            client = await asyncio.to_thread(self._async_client)
        except (ValueError, OSError, ImportError) as e:
            return _unusable(urls[0], e)
        answer = Answer(urls[0])
        async with client:
            for url in urls:
                answer = await self._post(client, url, body)
                if not oauth.asks_second_url(answer.status):
                    break
        return answer

    def post_now(self, urls: Sequence[str], body: Mapping[str, str]) -> Answer:
        """The same, blocking."""
        answer = Answer(urls[0])
        for url in urls:
            answer = self.ask("POST", url, {}, body)
            if not oauth.asks_second_url(answer.status):
                break
        return answer

    def ask(self, method: str, url: str, fields: Mapping[str, str], body: object = None) -> Answer:
        """One request, blocking."""
        try:
            client = httpx.Client(timeout=self._timeout, headers=_HEADERS)
        except (ValueError, OSError, ImportError) as e:
            return _unusable(url, e)
        try:
            with client, client.stream(method, url, headers=dict(fields), json=body) as response:
                data = b""
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > LARGEST:
                        break
                return self._heard(url, response, data)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:
            return _unheard(url, e)

    def _async_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout, headers=_HEADERS)

    async def _post(self, client: httpx.AsyncClient, url: str, body: Mapping[str, str]) -> Answer:
        try:
            async with (
                asyncio.timeout(self._timeout),
                client.stream("POST", url, json=body) as response,
            ):
                data = b""
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > LARGEST:
                        break
                return self._heard(url, response, data)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:  # TimeoutError is an OSError
            return _unheard(url, e)

    def _heard(self, url: str, response: httpx.Response, data: bytes) -> Answer:
        now = self._clock()
        self.skew = _skew(response.headers.get("date"), now, self.skew)
        wait = headers.retry_after(tuple(response.headers.raw), now)
        return Answer(url, response.status_code, data, wait)


def _skew(date: str | None, now: float, before: float | None) -> float | None:
    try:
        told = parsedate_to_datetime(date or "")
        return now - told.replace(tzinfo=told.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return before


def _unheard(url: str, e: Exception) -> Answer:
    # the kind of an error, not its text: that one may quote what was sent
    if isinstance(e, (httpx.TimeoutException, TimeoutError)):
        fault = "did not answer in time"
    elif isinstance(e, httpx.ConnectError):
        fault = "can't be reached"
    else:
        fault = f"broke off ({type(e).__name__})"
    return Answer(url, fault=fault, reached=not isinstance(e, _UNREACHED))


def _unusable(url: str, e: Exception) -> Answer:
    """The text of these errors may hold a proxy's password."""
    fault = f"can't be asked with the environment's proxy or certificates ({type(e).__name__})"
    return Answer(url, fault=fault, reached=False)
