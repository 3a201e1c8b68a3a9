"""Translates another provider's error to Anthropic's form. LiteLLM's own text never reaches the client."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurolink_mitm.core.providers.catalog import credential_places
from neurolink_mitm.core.providers.too_long import too_long
from neurolink_mitm.core.providers.unusable import Refusal, refusal_of, remedy
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
    kind: str | None = None
    """Anthropic's error type, where it is not the one of `status`."""

    @property
    def error_type(self) -> str:
        """Return Anthropic's error type."""
        return self.kind or TYPES.get(self.status, "api_error")


def provider_error(
    entry: str, status: int | None, text: str, retry_after: str | None = None
) -> ProviderError:
    """Return the error for what LiteLLM raised: its status, and its text, which has the provider's own text.

    `entry` is the provider, or `provider/model`. Where that itself is refused, the message says what the user can do.
    """
    status = status or 502
    if not 400 <= status <= 599 or _UNREADABLE in text:
        status = 502
    words = provider_text(text)
    if message := too_long(entry, status, text[:_READ], words):
        return ProviderError(400, message, mendable=True)
    if refusal := refusal_of(status, text[:_READ], words):
        return _refused(refusal, entry, words)
    status = 400 if status == 404 else status  # what the request names is not there
    return ProviderError(
        status,
        f"{entry} {_REASONS.get(status, 'failed')}{_colon(words)}",
        retry_after,
        mendable=status == 413 or (status in (400, 422) and bool(_ATTACHMENT.search(words))),
    )


def _refused(refusal: Refusal, entry: str, words: str) -> ProviderError:
    """Return the error of an entry that is refused itself.

    A refused key is a 403: a 401 would make Claude Code ask for a new login at Anthropic. An unknown model is a 400:
    with a 404 Claude Code takes it for the model that it asked for.
    """
    provider = entry.partition("/")[0]
    advice = remedy(refusal, provider, credential_places(provider))
    status, kind = _OF_REFUSALS[refusal]
    return ProviderError(status, f"{entry} {refusal.value} ({advice}){_colon(words)}", kind=kind)


_OF_REFUSALS = {
    Refusal.MODEL: (400, "not_found_error"),
    Refusal.KEY: (403, None),
    Refusal.MONEY: (402, None),
}

_REASONS = {
    400: "refused the request",
    408: "did not answer in time",
    422: "refused the request",
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
