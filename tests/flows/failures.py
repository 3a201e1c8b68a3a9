"""Every line of the failure policy: what upstream does, and what comes of it. docs/failures.md is made from these rows.

`python -m tests.flows.failures` prints that page.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from neurolink_mitm.core.pool.quota import CLASSIC
from neurolink_mitm.sandbox import Reply
from tests.flows.harness import MODEL

Action = Literal["served", "next", "told", "as is", "mended", "closed", "stalls", "left"]

RATE_LIMITED = {"retry-after": "30"}
OPEN_WINDOWS = {
    "anthropic-ratelimit-unified-status": "rejected",
    "anthropic-ratelimit-unified-5h-status": "allowed",
    "anthropic-ratelimit-unified-5h-utilization": "0.1",
    "anthropic-ratelimit-unified-7d-status": "allowed",
    "anthropic-ratelimit-unified-7d-utilization": "0.7",
    "anthropic-ratelimit-unified-representative-claim": "seven_day_overage_included",
}
SHUT_WINDOW = OPEN_WINDOWS | {
    "anthropic-ratelimit-unified-5h-status": "rejected",
    "anthropic-ratelimit-unified-5h-utilization": "1.0",
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
}
OPUS_WINDOW = OPEN_WINDOWS | {
    "anthropic-ratelimit-unified-representative-claim": "seven_day_sonnet"
}
NO_CREDITS = {
    "anthropic-ratelimit-unified-overage-disabled-reason": "out_of_credits",
    "x-should-retry": "true",
}
NO_WINDOW = {"x-should-retry": "true"} | {
    f"anthropic-ratelimit-{limit}-{part}": ""
    for limit in CLASSIC
    for part in ("limit", "remaining", "reset")
}
COUNT = "/v1/messages/count_tokens"
SIGNATURE = "messages.1.content.0: Invalid `signature` in `thinking` block"
PAGE = (
    '{"type":"error","error":{"type":"api_error","message":"<html><head>cloudflare</head></html>"}}'
)


@dataclass(frozen=True)
class Row:
    """`scope` and `seconds` are the cooldown that the account gets, if any; `then` is what the request does."""

    name: str
    upstream: str
    reply: Reply
    then: Action
    scope: str = ""
    seconds: float = 0.0
    error_type: str | None = None
    path: str = "/v1/messages"
    """What was asked; anything else than this by GET, except counting."""

    @property
    def account(self) -> str:
        """The effect on the account, in words."""
        if not self.scope:
            return "none"
        of = {"*": "", MODEL: ", for that model only", "count_tokens:*": ", for counting only",
              "files:*": ", for files only"}.get(self.scope, ", for that family of models")  # fmt: skip
        return f"cools for {self.seconds:.0f} s{of}"

    @property
    def request(self) -> str:
        """The effect on the request, in words."""
        return WORDS[self.then]


WORDS: dict[Action, str] = {
    "served": "goes to the client",
    "next": "next account",
    "told": "next account; if all respond so, that response",
    "as is": "returned as it is; no other account is asked",
    "mended": "again on the same account, without the thinking blocks of the history",
    "closed": "the stream ends with an `overloaded_error` event; no resend",
    "stalls": "next account; a response that is not streamed has until `timeouts.total`",
    "left": "upstream request aborted",
}


def _limited(name: str, upstream: str, headers: dict[str, str], scope: str, seconds: float) -> Row:
    reply = Reply(429, headers=headers)
    return Row(name, upstream, reply, "next", scope, seconds, "rate_limit_error")


def _elsewhere(status: int) -> Row:
    name = f"{status} to another path of `/v1`"
    return Row(name, name, Reply(status), "told", path="/v1/files?limit=3")


def _transient(status: int) -> Row:
    return Row(f"{status}", f"{status}", Reply(status), "next")


ROWS: tuple[Row, ...] = (
    Row("2xx", "2xx", Reply(), "served"),
    _limited("429", "429 with Retry-After", RATE_LIMITED, "*", 30),
    _limited("429 without Retry-After", "429 without Retry-After", {}, "*", 1),
    _limited("429 capped", "429 with a Retry-After beyond 10 minutes", {"retry-after": "90000"}, "*", 600),
    _limited("429 window", "429, five-hour window used up", SHUT_WINDOW | RATE_LIMITED, "*", 30),
    _limited("429 one model", "429 while both windows are open", OPEN_WINDOWS | RATE_LIMITED, MODEL, 30),
    _limited("429 family", "429 claiming one family's window", OPUS_WINDOW | RATE_LIMITED, "*sonnet*", 30),
    _limited("429 credits", "429, `out_of_credits` of overage", NO_CREDITS, "*sonnet*", 1),
    _limited("429 bare", "429 with `x-should-retry` and no window", NO_WINDOW, "", 0),
    Row("429 counting", "429 to `count_tokens`", Reply(429, headers=RATE_LIMITED), "next",
        "count_tokens:*", 30, "rate_limit_error", path=COUNT),
    Row("429 files", "429 to `/v1/files`", Reply(429, headers=RATE_LIMITED), "next",
        "files:*", 30, "rate_limit_error", path="/v1/files?limit=3"),
    Row("401", "401", Reply(401), "next", "*", 300),
    Row("402", "402", Reply(402), "next", "*", 300),
    Row("403", "403", Reply(403), "next", "*", 300),
    *map(_elsewhere, (401, 402, 403)),
    Row("403 page", "403, 402 or 401 that is an HTML page", Reply(403, html=True), "next"),
    Row("401 no login", "401 `OAuth authentication is currently not supported`",
        Reply(401, message="OAuth authentication is currently not supported."), "told"),
    Row("400 long context", "400 `long context beta is not yet available for this subscription`",
        Reply(400, message="The long context beta is not yet available for this subscription."), "told"),
    Row("400 style", "400 `incompatible with the long context beta header`",
        Reply(400, message="This authentication style is incompatible with the long context beta header."), "told"),
    Row("400 Claude Code", "400 `only authorized for use with Claude Code`",
        Reply(400, message="This credential is only authorized for use with Claude Code."), "told"),
    Row("429 long context", "429 `required for long context requests`",
        Reply(429, message="Extra usage is required for long context requests.", headers=RATE_LIMITED), "told"),
    Row("400 credit", "400 `credit balance is too low`",
        Reply(400, message="Your credit balance is too low to access the API."), "next", "*", 300),
    Row("400 organization", "400 `organization has been disabled`",
        Reply(400, message="This organization has been disabled."), "next", "*", 300),
    Row("400", "400 `invalid_request_error`", Reply(400, message="max_tokens: too small"), "as is"),
    Row("413", "413", Reply(413), "as is"),
    Row("422", "422", Reply(422), "as is"),
    Row("404", "404", Reply(404), "as is"),
    Row("400 thinking", "400, signature of a thinking block", Reply(400, message=SIGNATURE), "mended"),
    Row("thinking first", "200 whose first event is that error",
        Reply(error_first="invalid_request_error", message=SIGNATURE), "mended"),
    *map(_transient, (408, 500, 502, 503, 504, *range(520, 527), 529)),
    Row("400 overloaded", "400 `overloaded_error`", Reply(400, error_type="overloaded_error"), "next"),
    Row("400 page", "400 `api_error` around an HTML page",
        Reply(400, body=PAGE.encode(), content_type="application/json"), "next"),
    Row("closed", "connection closed before an answer", Reply(hang_up=True), "next"),
    Row("reset", "connection reset before an answer", Reply(hang_up=True, reset=True), "next"),
    Row("cut early", "answer cut before its first content", Reply(cut_after=2), "next"),
    Row("silent", "no answer in time", Reply(stall_after=0), "stalls"),
    Row("silent after head", "head, and no event in time", Reply(stall_after="head"), "stalls"),
    Row("empty", "200 that ends with no byte", Reply(empty=True), "next"),
    Row("error first", "200 whose first event is `overloaded_error`",
        Reply(error_first="overloaded_error"), "next"),
    Row("api error first", "200 whose first event is `api_error`",
        Reply(error_first="api_error"), "next"),
    Row("429 first", "200 whose first event is `rate_limit_error`",
        Reply(error_first="rate_limit_error"), "next", "*", 1),
    Row("cut late", "stream cut after content", Reply(cut_after=6), "closed"),
    Row("silent late", "stream silent after content", Reply(stall_after=6), "closed"),
    Row("client left", "client goes away", Reply(stall_after=6), "left"),
)  # fmt: skip

HEAD = """\
# What upstream's failures mean

Made from the table by which the tests run the real proxy, streamed and not, with two accounts and with one.
The client sees nothing of an attempt that failed before its first content.

- **A cooldown** doubles with each one in a row, up to 10 minutes. Requests that were in flight when it began don't
  lengthen it. When it ends, one request probes the account while others avoid it; a success clears it.
- **Each endpoint has limits of its own** (messages, `count_tokens`, batches, files, all others together): a 429 or a
  success at one of them changes nothing at the others. An account that is refused (300 s) gets no requests at all.
- **When every account failed in a way that may pass**, all are tried again after up to 2 seconds; then the client gets
  upstream's last error.
- **When every account is cooling**, the [fallback chain](fallback.md) is asked, its entries twice where their trouble
  may pass. If nobody answers, the client gets, in this order: a 529 where asking again may help; the 400 or 413 of an
  entry for which the prompt or an attachment is too large; a 429 with `Retry-After` that names each account (the
  first and last ten of more than twenty), its reason and its time.

| upstream | account | request |
|---|---|---|
"""


def page() -> str:
    """Return the page docs/failures.md; neighbours with the same effects share a row."""
    shared = groupby(ROWS, key=lambda row: (row.account, row.request))
    lines = (
        f"| {'; '.join(row.upstream for row in rows)} | {account} | {request} |"
        for (account, request), rows in shared
    )
    return HEAD + "\n".join((*lines, *ELSEWHERE)) + "\n"


ELSEWHERE = (
    "| connection refused, name not found, connecting too slow | none | next account |",
    "| a certificate that is not trusted, a login that an HTTP proxy refuses | none | next account on another host or"
    " through another proxy; nobody is asked twice |",
    "| 401, of a login with a refresh token | a new token is fetched; after the fifth in one request it cools for 300 s"
    " | again on the same account with the new token, then next account |",
    "| 401 to another path of `/v1`, of a login with a refresh token | a new token is fetched once, and not again"
    " while that token is refused there | again on the same account, then next account |",
    "| 200 that is an error object or an HTML page, compressed or not | as its error type says:"
    " `rate_limit_error` cools it like a 429 | next account |",
    "| 1xx | none | skipped: the final response follows |",
    "| no HTTP response, two lengths, a head, event or beginning without end | none | next account; after content the"
    " stream ends with an `overloaded_error` event |",
)
"""Rows that need another kind of upstream; they have tests of their own."""


if __name__ == "__main__":
    print(page(), end="")
