"""The failure policy: for each failure of an attempt, the cooldown of the account and the action for the request.

`FAILURE_RULES` is the whole policy: the first row that matches a `Failure` decides. Sources:
[errors]  https://platform.claude.com/docs/en/api/errors
[limits]  https://platform.claude.com/docs/en/api/rate-limits
[stream]  https://platform.claude.com/docs/en/build-with-claude/streaming#error-events
[unified] headers of subscription accounts as seen in https://github.com/router-for-me/CLIProxyAPI/issues/5915
          and https://github.com/tombii/better-ccflare/issues/261
[thinking] https://platform.claude.com/docs/en/build-with-claude/extended-thinking
[wordings] of the same refusal, by way of gateways: https://github.com/lbjlaq/Antigravity-Manager/issues/1393,
          https://github.com/ding113/claude-code-hub/issues/518, https://github.com/anomalyco/opencode/issues/15074
[plans]   what an account may not do: https://github.com/anthropics/claude-code/issues/23822 (long context),
          https://github.com/Wei-Shaw/sub2api/issues/572 (extra usage),
          https://github.com/anthropics/claude-code/issues/24690 (Claude Code's own requests)
[providers] core/providers/unusable.py: the translator's 400 for an entry whose model its provider does not have
[cf]      https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Self

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.pool.limit_scope import Limit, limit_of
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.core.response.error_text import LONGEST, SEARCHED, is_page, wording
from neurolink_mitm.core.response.error_text import read_error as read_error


class FailureStage(enum.Enum):
    """The stage at which an attempt failed."""

    STATUS = "status"  # an error status
    EVENT = "first event"  # a 200 whose first event is an error
    EMPTY = "empty"  # a 200 that ends before any content
    NETWORK = "network"  # refused, reset, DNS, TLS, closed
    TIMEOUT = "timeout"  # no first event in time
    PIN = "certificate"  # not sent: upstream's certificate is not one of those pinned
    LOGIN = "login"  # not sent: the account has no valid token


class CooldownKind(enum.Enum):
    """The kind of cooldown that the account gets."""

    NONE = "none"
    BACKOFF = "back-off"  # min(base * 2^level, cap), base from Retry-After
    LONG = "5 min"


class Action(enum.Enum):
    """The action for the request."""

    RETURN = "returned as is"
    NEXT = "next account"
    REFRESH = "once more on this account, with a new token"
    WITHOUT_THINKING = "once more on this account, without thinking blocks"


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of one attempt. `status` is None where no head arrived, or where a 200 has no good body."""

    stage: FailureStage
    status: int | None
    error_type: str
    message: str
    headers: Fields = field(default=(), repr=False)
    sent: bool = True
    """Whether upstream may have received the request; after a refused connection it has not."""
    refreshable: bool = False
    """Whether the account's token can be refreshed."""
    body: bytes = field(default=b"", repr=False, compare=False)
    """The beginning of upstream's response."""
    other_endpoint: bool = False
    """Whether the request was no inference: then a refusal concerns that endpoint, not the account."""

    @classmethod
    def of_status(cls, status: int, body: bytes, fields: Fields = ()) -> Self:
        """Make the failure of a response with an error status; `body` has Anthropic's error form, or any other."""
        error_type, message = read_error(body)
        kind = error_type or f"http_{status}"
        return cls(FailureStage.STATUS, status, kind, message, fields, body=body[:SEARCHED])

    @classmethod
    def of_error_event(cls, data: bytes) -> Self:
        """Make the failure of an `error` event with this data."""
        error_type, message = read_error(data)
        return cls(
            FailureStage.EVENT, None, error_type or "api_error", message, body=data[:SEARCHED]
        )

    @classmethod
    def of_hollow(cls, body: bytes, content_type: str = "") -> Self | None:
        """Make the failure of a 200 whose body is an error object or an HTML page; None if it is neither."""
        body = body.removeprefix(b"\xef\xbb\xbf")
        if is_page(body, content_type):
            page = body[:300].decode("utf-8", "replace").strip()
            return cls(
                FailureStage.EVENT, None, "api_error", f"a page: {page}", body=body[:SEARCHED]
            )
        if not body[:SEARCHED].lstrip().startswith(b"{"):
            return None
        try:
            hollow = _hollow_decoder.decode(body)
        except UNREADABLE:
            return None
        return cls.of_error_event(body) if hollow.type == "error" and hollow.error else None

    @classmethod
    def of_network(cls, error_type: str, message: str, *, sent: bool = True) -> Self:
        """Make the failure of an attempt without a response; `message` is cut."""
        message = message[:LONGEST]
        return cls(FailureStage.NETWORK, None, error_type, message, sent=sent)


@dataclass(frozen=True, slots=True)
class FailureRule:
    """A row of the policy: conditions on the failure, the cooldown and the action. An empty condition matches all."""

    name: str
    cooldown: CooldownKind
    action: Action
    source: str
    stage: FailureStage | None = None
    statuses: frozenset[int] = frozenset()
    error_type: str = ""
    text: tuple[str, ...] = ()  # one of them is in `error_text.wording`
    limit: Limit | None = None  # the scope of a 429
    refreshable: bool = False
    page: bool = False  # an HTML page
    other_endpoint: bool = False
    transient: bool = False
    """No condition: the failure is likely to pass by itself, so that the account is worth a second try."""

    def matches(self, failure: Failure) -> bool:
        return (
            self.stage in (None, failure.stage)
            and (not self.statuses or failure.status in self.statuses)
            and self.error_type in ("", failure.error_type)
            and (not self.text or _has_wording(failure, self.text))
            and (failure.refreshable or not self.refreshable)
            and (failure.other_endpoint or not self.other_endpoint)
            and (not self.page or _is_page(failure))
            and (self.limit is None or limit_of(failure.headers, failure.message) is self.limit)
        )


def _has_wording(failure: Failure, any_of: tuple[str, ...]) -> bool:
    text = wording(failure.message, failure.body)
    return any(all(part in text for part in each.split(AND)) for each in any_of)


def _is_page(failure: Failure) -> bool:
    body = failure.body or failure.message.encode("utf-8", "replace")
    return is_page(body, headers.get(failure.headers, b"content-type") or "")


def _codes(*codes: int) -> frozenset[int]:
    return frozenset(codes)


TRANSIENT = _codes(408, 500, 502, 503, 504, *range(520, 527), 529)

REFUSED = _codes(401, 402, 403)
AND = " & "
"""Separator of the parts of a wording; they may stand in any order."""
NOT_SIGNED = (
    "signature in thinking", "signature in redacted_thinking", "data in redacted_thinking",
    "thinking.signature:", "thinking.data:", "blocks cannot be modified",
    "blocks must match the parameters", "assistant message cannot be modified",
    "expected thinking or redacted_thinking", "thinking block must contain thinking",
    "thinking block & invalid signature", "redacted_thinking & invalid signature",
    "thinking block & cannot be modified",
)  # fmt: skip
"""Wordings of errors about thinking in the history."""
NOT_IN_PLAN = (
    "long context beta is not yet available", "incompatible with the long context beta",
    "required for long context requests", "only authorized for use with claude code",
)  # fmt: skip
"""Wordings of errors that another account may not have."""

RATE_LIMIT = "rate_limit_error"
"""Error type of a rate limit."""
PERMANENT = "no_way"
"""Error type of a network error that a retry does not cure: a proxy refuses the login, a certificate is not trusted."""

C, A, S = CooldownKind, Action, FailureStage  # for the table
FAILURE_RULES: tuple[FailureRule, ...] = (
    FailureRule("not in its plan", C.NONE, A.NEXT, "[plans]", S.STATUS, _codes(400, 403, 429), text=NOT_IN_PLAN),
    FailureRule("rate limit of one model", C.BACKOFF, A.NEXT, "[limits], [unified]", S.STATUS, _codes(429),
                limit=Limit.MODEL),
    FailureRule("out of overage credits", C.BACKOFF, A.NEXT, "[unified]", S.STATUS, _codes(429), limit=Limit.CREDITS),
    FailureRule("short of capacity", C.NONE, A.NEXT, "[unified] x-should-retry", S.STATUS, _codes(429),
                limit=Limit.BARE, transient=True),
    FailureRule("rate limit", C.BACKOFF, A.NEXT, "[errors] 429", S.STATUS, _codes(429)),
    FailureRule("rate limit in stream", C.BACKOFF, A.NEXT, "[stream]", S.EVENT, error_type=RATE_LIMIT),
    FailureRule("an edge's page", C.NONE, A.NEXT, "[cf] a challenge", S.STATUS, REFUSED, page=True, transient=True),
    FailureRule("no login taken there", C.NONE, A.NEXT, "[plans]", S.STATUS, REFUSED,
                text=("oauth authentication is currently not supported",)),
    FailureRule("refused token", C.NONE, A.REFRESH, "[errors] 401", S.STATUS, _codes(401), refreshable=True),
    FailureRule("refused by another endpoint", C.NONE, A.NEXT, "[errors] 401, 402, 403", S.STATUS, REFUSED,
                other_endpoint=True),
    FailureRule("refused credential", C.LONG, A.NEXT, "[errors] 401, 402, 403", S.STATUS, REFUSED),
    FailureRule("certificate not pinned", C.NONE, A.RETURN, "cloaking.plugins.tlsFingerprint", S.PIN),
    FailureRule("no better token", C.NONE, A.NEXT, "RFC 6749 section 6", S.LOGIN, other_endpoint=True),
    FailureRule("no good token", C.LONG, A.NEXT, "RFC 6749 section 6", S.LOGIN),
    FailureRule("out of credit", C.LONG, A.NEXT, "[errors] 400 of the account", S.STATUS, _codes(400),
                text=("credit balance is too low",)),
    FailureRule("organization disabled", C.LONG, A.NEXT, "[errors] 400 of the account", S.STATUS, _codes(400),
                text=("organization has been disabled",)),
    FailureRule("foreign thinking", C.NONE, A.WITHOUT_THINKING, "[thinking], [wordings]", S.STATUS, _codes(400),
                text=NOT_SIGNED),
    FailureRule("foreign thinking in stream", C.NONE, A.WITHOUT_THINKING, "[thinking], [stream]", S.EVENT,
                text=NOT_SIGNED),
    FailureRule("unknown model", C.LONG, A.NEXT, "[providers] of another provider", S.STATUS, _codes(400),
                "not_found_error"),
    FailureRule("overloaded", C.NONE, A.NEXT, "[errors] overloaded_error", S.STATUS, _codes(400), "overloaded_error",
                transient=True),
    FailureRule("gateway page", C.NONE, A.NEXT, "[cf] a page inside an api_error", S.STATUS, _codes(400), "api_error",
                ("<html", "<!doctype html"), transient=True),
    FailureRule("upstream trouble", C.NONE, A.NEXT, "[errors] 5xx, [cf] 52x", S.STATUS, TRANSIENT, transient=True),
    FailureRule("error in stream", C.NONE, A.NEXT, "[stream]", S.EVENT, transient=True),
    FailureRule("empty answer", C.NONE, A.NEXT, "[stream] no message_start", S.EMPTY, transient=True),
    FailureRule("no way there", C.NONE, A.NEXT, "RFC 9110 section 15.5.8", S.NETWORK, error_type=PERMANENT),
    FailureRule("network", C.NONE, A.NEXT, "RFC 9112 section 9.6", S.NETWORK, transient=True),
    FailureRule("out of time", C.NONE, A.RETURN, "timeouts.total", S.TIMEOUT, error_type="total_timeout"),
    FailureRule("timeout", C.NONE, A.NEXT, "RFC 9110 section 15.6.5", S.TIMEOUT, transient=True),
    FailureRule("the request's own fault", C.NONE, A.RETURN, "[errors] 400, 404, 413, 422"),
)  # fmt: skip
"""The policy, in order; the last row matches everything."""


def classify(failure: Failure) -> FailureRule:
    """Return the first row of the policy that matches."""
    return next(rule for rule in FAILURE_RULES if rule.matches(failure))


MENDABLE = b"x-neurolink-mendable"
"""Header of the translator's errors: the user or the client can mend the request (a shorter conversation, another
attachment or tool)."""


def is_mendable(failure: Failure) -> bool:
    """Return whether another provider refused the request for what the user or the client can mend."""
    return headers.get(failure.headers, MENDABLE) is not None


class _Hollow(msgspec.Struct):
    type: str | None = None
    error: msgspec.Raw = msgspec.Raw()


_hollow_decoder = msgspec.json.Decoder(_Hollow)


def error_body(error_type: str, message: str, request_id: str = "") -> bytes:
    """Return an error body in Anthropic's form."""
    body: dict[str, object] = {"type": "error", "error": {"type": error_type, "message": message}}
    if request_id:
        body["request_id"] = request_id
    return msgspec.json.encode(body)
