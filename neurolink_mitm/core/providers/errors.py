"""Translates another provider's error to Anthropic's form. LiteLLM's own text never reaches the client."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurolink_mitm.core.providers.too_long import too_long
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
"""Anthropic's error type by status."""
LONGEST = 300
"""Characters of a provider's text that the client gets."""
_READ = 100_000
"""Characters of an exception's text that are searched."""

_QUOTED = r"""("[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+')"""
_MESSAGE = re.compile(rf"""["']message["']\s*:\s*{_QUOTED}""")
_OLLAMA_ERROR = re.compile(rf"""["']error["']\s*:\s*{_QUOTED}""")
_PLAIN = re.compile(r"Exception - ([^\s{<\[][^\n{<]*)")
"""A provider's text that LiteLLM has taken out of the JSON."""
_UNREADABLE = "Error converting to valid response block"
"""LiteLLM's 422 for a response that it could not read: no fault of the request."""
_ATTACHMENT = re.compile(
    r"\b(images?|pictures?|pdfs?|documents?|files?|attachments?|media)\b(?!_)", re.I
)
_LITELLM = re.compile(r"litellm|Traceback", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ProviderError(Exception):
    """A provider's failure, with the status that an account's failure would have."""

    status: int
    message: str
    retry_after: str | None = None
    mendable: bool = False
    """The user or the client can mend the request."""

    @property
    def error_type(self) -> str:
        """Return Anthropic's error type."""
        return TYPES.get(self.status, "api_error")


def provider_error(
    provider: str, status: int | None, text: str, retry_after: str | None = None
) -> ProviderError:
    """Return the error for what LiteLLM raised: its status, and its text, which has the provider's own text.

    A refused key becomes 403: a 401 would make Claude Code ask for a new login at Anthropic.
    """
    status = {None: 502, 401: 403}.get(status, status) or 502
    if not 400 <= status <= 599 or _UNREADABLE in text:
        status = 502
    words = provider_text(text)
    if message := too_long(provider, status, text[:_READ], words):
        return ProviderError(400, message, mendable=True)
    return ProviderError(
        status,
        f"{provider} {_REASONS.get(status, 'failed')}{_colon(words)}",
        retry_after,
        mendable=status == 413 or (status in (400, 422) and bool(_ATTACHMENT.search(words))),
    )


_REASONS = {
    400: "refused the request",
    402: "wants to be paid first",
    403: "refused the key",
    404: "does not know this model",
    408: "did not answer in time",
    429: "limits requests at the moment",
    503: "is overloaded",
    504: "did not answer in time",
}


def provider_text(text: str) -> str:
    """Return the provider's own text within LiteLLM's, masked and cut; empty if there is none."""
    words = _words(text[:_READ])
    if not words or _LITELLM.search(words):
        return ""
    return redact(words)[:LONGEST]


def _words(text: str) -> str:
    if quoted := _MESSAGE.findall(text) or _OLLAMA_ERROR.findall(text):
        last: str = quoted[-1]
        return last[1:-1].replace('\\"', '"').replace("\\n", " ")
    plain = _PLAIN.search(text)
    return plain[1].strip() if plain else ""


def _colon(words: str) -> str:
    return f": {words}" if words else ""
