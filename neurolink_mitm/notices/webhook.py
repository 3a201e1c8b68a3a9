"""The webhook: a signed POST with the event as JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from neurolink_mitm import __version__
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.notices.event import Event, encode, signature
from neurolink_mitm.notices.undelivered import Undelivered

if TYPE_CHECKING:
    import httpx

LIMIT = 5.0
"""Seconds that a try may take in all, DNS and connecting included."""
PAUSES = (1.0, 3.0)
"""Seconds before the second and the third try."""
TOO_MANY = 429
"""The status below 500 after which another try may help."""


@dataclass(frozen=True)
class Webhook:
    """The channel of `notify.webhook`. `network` returns httpx's arguments for a URL, or raises `ValueError`."""

    url: str = field(repr=False)
    secret: Secret
    network: Callable[[str], dict[str, Any]] = field(repr=False)
    pause: Callable[[float], Awaitable[object]] = field(default=asyncio.sleep, repr=False)
    limit: float = LIMIT
    name: str = "webhook"

    async def send(self, event: Event) -> str:
        """Return the status of a success. Raises `Undelivered` after the last try."""
        pauses = iter(PAUSES)
        while True:
            try:
                return await self._try(event)
            except Undelivered as e:
                pause = next(pauses, None) if e.again else None
                if pause is None:
                    raise
            await self.pause(pause)

    async def _try(self, event: Event) -> str:
        import httpx  # slow to import, and most have no webhook

        try:
            async with asyncio.timeout(self.limit):
                status = await self._post(httpx, encode(event), event)
        except TimeoutError as e:
            raise self._undelivered(f"no response within {self.limit:g} s", again=True) from e
        except (httpx.HTTPError, OSError) as e:
            raise self._undelivered(_words(e), again=True) from e
        except (ValueError, httpx.InvalidURL) as e:  # an HTTP proxy that can't be used
            raise self._undelivered(_words(e)) from e
        if 200 <= status < 300:
            return f"HTTP {status}"
        moved = ", and redirects are not followed" if 300 <= status < 400 else ""
        raise self._undelivered(f"HTTP {status}{moved}", again=status >= 500 or status == TOO_MANY)

    async def _post(self, httpx: Any, body: bytes, event: Event) -> int:
        headers = {
            "content-type": "application/json",
            "user-agent": f"neurolink/{__version__}",
            "x-neurolink-event": event.event,
            "x-neurolink-delivery": event.id,
            "x-neurolink-signature": signature(body, self.secret, time.time()),
        }
        client: httpx.AsyncClient = httpx.AsyncClient(
            **self.network(self.url), timeout=self.limit, follow_redirects=False
        )
        # the body of the response is not read: nothing in it matters, and it may have no end
        async with (
            client,
            client.stream("POST", self.url, content=body, headers=headers) as response,
        ):
            return int(response.status_code)

    def _undelivered(self, why: str, *, again: bool = False) -> Undelivered:
        """Return the failure; it names the host only, as the URL itself may be a secret."""
        return Undelivered(f"{urlsplit(self.url).hostname}: {why}", again=again)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
