"""Asks a gateway what Claude Code asks one, and remembers what decides whether a row of the contract can be judged."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from neurolink_mitm.adapters.own_address import open_connection

LIMIT = 20.0
"""Seconds for the next byte of a response."""
LONGEST_TIME = 60.0
"""Seconds for all of it."""
PATIENCE = 2
"""Requests without an answer after which no more are sent."""
LONGEST = 8_000_000
"""Bytes of a response that are read."""
MODEL = "claude-haiku-4-5-20251001"
"""The cheapest model."""
COUNT = "/v1/messages/count_tokens"
MESSAGES = "/v1/messages?beta=true"
ECHO, PACE = "x-sandbox-echo", "x-sandbox-event-delay"
"""Headers that the sandbox understands; Anthropic ignores them."""
ASKED = {
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
    "x-neurolink-hold": "0",  # a request that is held until an account recovers judges nothing
}
Headers = Mapping[str, str]
TURN = {"role": "user", "content": "Count from 1 to 30, one number a line."}


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 where nothing came, for the reason in `error`; names in `headers` are lower-case."""

    status: int = 0
    body: bytes = b""
    headers: Headers = field(default_factory=dict)
    error: str = ""
    chunks: tuple[tuple[float, bytes], ...] = ()
    """Seconds since the request, and the bytes that came then."""

    @property
    def document(self) -> dict[str, Any]:
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def refusal(self) -> tuple[str, str]:
        """Return type and message of an error in Anthropic's form; empty if it has another one."""
        error = self.document.get("error")
        if self.document.get("type") != "error" or not isinstance(error, dict):
            return "", ""
        return str(error.get("type", "")), str(error.get("message", ""))

    @property
    def for_nobody(self) -> bool:
        """Whether it is refused for want of a credential, or by a limit: that says nothing of the gateway."""
        return self.status in (401, 429) or "no credentials" in self.refusal[1]

    @property
    def by_anthropic(self) -> bool:
        """Whether Anthropic's API, or the sandbox, has answered: both name the request."""
        return "request-id" in self.headers

    def __str__(self) -> str:
        """Return the response in a few words."""
        if not self.status:
            return f"no response: {self.error}"
        kind, message = self.refusal
        words = f"{kind}: {message}" if kind else self.body.decode("utf-8", "replace")
        shown = "".join(char if char.isprintable() else " " for char in words)
        return f"{self.status} {' '.join(shown.split())}"[:160].rstrip()


class Gateway:
    """One gateway at `url`, asked with `key`. `spend`: messages may be sent, whoever pays for them."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        spend: bool = False,
        fingerprint: str | None = None,
    ) -> None:
        """`fingerprint`: trust this certificate alone, as that of a proxy of this home."""
        self.url = url.rstrip("/")
        self._fingerprint = fingerprint
        self.key = key
        self.spend = spend
        self._silent = 0

    def ask(
        self, method: str, path: str, headers: Headers | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request, without a key, and return the response. Redirects are not followed."""
        if self._silent >= PATIENCE:
            return Answer(error="it was silent before")
        parts, began = urlsplit(self.url), time.monotonic()
        try:
            connection = open_connection(self.url, LIMIT, self._fingerprint)
            try:
                connection.request(method, parts.path + path, body, dict(headers or {}))
                with connection.getresponse() as response:
                    return _read(response, began)
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException) as e:
            self._silent += isinstance(e, TimeoutError)
            return Answer(error=str(e) or type(e).__name__)

    def post(self, path: str, document: object, headers: Headers | None = None) -> Answer:
        """Send `document` with the key."""
        return self.send(path, json.dumps(document).encode(), headers)

    def send(self, path: str, body: bytes, headers: Headers | None = None) -> Answer:
        key = {"x-api-key": self.key} if self.key else {}
        return self.ask("POST", path, {**ASKED, **key, **(headers or {})}, body)

    def count(self, headers: Headers | None = None, **fields: object) -> Answer:
        """Have tokens counted, which is free: https://platform.claude.com/docs/en/build-with-claude/token-counting"""
        document = {"model": MODEL, "messages": [TURN], **fields}
        return self.post(COUNT, document, {ECHO: "1", **(headers or {})})

    @cached_property
    def counted(self) -> Answer:
        """The response to a request for nothing but a count."""
        return self.count()

    @property
    def counts(self) -> bool:
        """Whether counts can be asked for, of Anthropic's API or the sandbox."""
        return self.counted.status == 200 and self.counted.by_anthropic

    @property
    def on_sandbox(self) -> bool:
        """Whether the sandbox is upstream, which costs nothing and says what it got."""
        return ECHO in self.counted.headers

    @cached_property
    def streamed(self) -> Answer:
        """A message that is streamed; paced, if by the sandbox."""
        document = {"model": MODEL, "max_tokens": 128, "stream": True, "messages": [TURN]}
        return self.post(MESSAGES, document, {PACE: "0.03"} if self.on_sandbox else None)

    @cached_property
    def models(self) -> Answer:
        return self.listed({"x-api-key": self.key} if self.key else {})

    def listed(self, credential: Headers) -> Answer:
        """Ask for the models, as Claude Code's discovery does."""
        return self.ask("GET", "/v1/models?limit=1000", {**ASKED, **credential})


def _read(response: http.client.HTTPResponse, began: float) -> Answer:
    chunks: list[tuple[float, bytes]] = []
    size = 0
    while (chunk := response.read1(65536)) and size < LONGEST:
        chunks.append((time.monotonic() - began, chunk))
        size += len(chunk)
        if chunks[-1][0] > LONGEST_TIME:
            raise TimeoutError(f"no end after {LONGEST_TIME:.0f} s")
    names = {name.lower(): value for name, value in response.headers.items()}
    body = b"".join(chunk for _, chunk in chunks)
    return Answer(response.status, body, names, chunks=tuple(chunks))


def echoed(answer: Answer) -> tuple[str, dict[str, str]] | None:
    """Return the digest and the headers that the sandbox got; None if the response does not say."""
    try:
        got = json.loads(answer.headers.get(ECHO, ""))
        return str(got["sha256"]), dict(got["headers"])
    except (ValueError, KeyError, TypeError):
        return None
