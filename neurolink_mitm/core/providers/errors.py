"""What another provider's error is in Anthropic's words. LiteLLM's own text never gets to the client."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurolink_mitm.core.redact.text import redact

TYPES = {
    400: "invalid_request_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
LONGEST = 300
_READ = 100_000
"""Characters of an exception's text that are looked through."""

_QUOTED = r"""("[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+')"""
_SAID = re.compile(rf"""["']message["']\s*:\s*{_QUOTED}""")
_SAID_BY_OLLAMA = re.compile(rf"""["']error["']\s*:\s*{_QUOTED}""")
_SAID_PLAINLY = re.compile(r"Exception - ([^\s{<\[][^\n{<]*)")
"""Where LiteLLM has taken the words out of the JSON by itself."""
_UNREADABLE = "Error converting to valid response block"
"""LiteLLM's 422, where it could not read an answer: no fault of the request's."""
_LITELLM = re.compile(r"litellm|Traceback", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context[ _](length|window)|too many tokens|maximum context|token count", re.I
)


@dataclass(frozen=True, slots=True)
class ProviderError(Exception):
    """A failure as the proxy is told of it. `status` is what an account's would be."""

    status: int
    message: str
    retry_after: str | None = None

    @property
    def error_type(self) -> str:
        return TYPES.get(self.status, "api_error")


def provider_error(
    provider: str, status: int | None, text: str, retry_after: str | None = None
) -> ProviderError:
    """From what LiteLLM has raised: its status, and its text, in which the provider's own words are looked for.

    A refused key is told as 403: a 401 would make Claude Code ask for a new login at Anthropic.
    """
    status = {None: 502, 401: 403}.get(status, status) or 502
    if not 400 <= status <= 599 or _UNREADABLE in text:
        status = 502
    words = said_by_provider(text)
    if status in (400, 413) and _TOO_LONG.search(text[:_READ]):
        # the words by which Claude Code knows that it has to make the conversation shorter
        return ProviderError(400, f"prompt is too long for {provider}{_colon(words)}")
    return ProviderError(
        status, f"{provider} {_WHAT.get(status, 'failed')}{_colon(words)}", retry_after
    )


_WHAT = {
    400: "refused the request",
    402: "wants to be paid first",
    403: "refused the key",
    404: "does not know this model",
    408: "did not answer in time",
    429: "limits requests at the moment",
    503: "is overloaded",
    504: "did not answer in time",
}


def said_by_provider(text: str) -> str:
    """The words that the provider sent, if they are found in LiteLLM's; redacted, and not long."""
    words = _words(text[:_READ])
    if not words or _LITELLM.search(words):
        return ""
    return redact(words)[:LONGEST]


def _words(text: str) -> str:
    if quoted := _SAID.findall(text) or _SAID_BY_OLLAMA.findall(text):
        said: str = quoted[-1]
        return said[1:-1].replace('\\"', '"').replace("\\n", " ")
    plain = _SAID_PLAINLY.search(text)
    return plain[1].strip() if plain else ""


def _colon(words: str) -> str:
    return f": {words}" if words else ""
