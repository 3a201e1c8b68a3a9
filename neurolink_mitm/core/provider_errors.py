"""What another provider's error is in Anthropic's words. LiteLLM's own text never gets to the client."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurolink_mitm.core.redaction import redact

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

_SAID = re.compile(r"""["']message["']\s*:\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
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
    if not 400 <= status <= 599:
        status = 502
    words = said_by_provider(text)
    if status in (400, 413) and _TOO_LONG.search(text):
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
    """The `message` of the JSON that the provider sent, if there is one in the text; redacted, and not long."""
    found = _SAID.findall(text)
    words = found[-1][1:-1].replace('\\"', '"').replace("\\n", " ") if found else ""
    if not words or _LITELLM.search(words):
        return ""
    return redact(words)[:LONGEST]


def _colon(words: str) -> str:
    return f": {words}" if words else ""
