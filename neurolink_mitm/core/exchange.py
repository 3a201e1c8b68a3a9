"""The typed record of one client request, from its first byte to its last.

Addons share it through the flow; each fills in its own part. Times are seconds of the runtime's clock.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass, field

from neurolink_mitm.core.cost.budget import Charge, charge_at
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Requirements
from neurolink_mitm.core.providers.destinations import Route
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.endpoints import COUNT_TOKENS, MESSAGES, endpoint_of
from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.core.request.target import Via
from neurolink_mitm.core.request.trace_context import Caller
from neurolink_mitm.core.response.reader import (
    EventStreamReader,
    OpaqueReader,
    ResponseReader,
    WholeReader,
)
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.core.settings.values import Timeouts


class Kind(enum.Enum):
    """What sort of request this is; decides who answers it and how closely the answer is watched."""

    LOCAL = "local"  # answered here
    MESSAGES = "messages"  # POST /v1/messages
    COUNT_TOKENS = "count_tokens"  # POST /v1/messages/count_tokens
    API = "api"  # any other /v1/* path, on an account of the pool
    FORWARD = "forward"  # anything else, with the caller's own credentials


class Outcome(enum.StrEnum):
    COMPLETE = "complete"
    ERROR = "error"
    TRUNCATED = "truncated"
    CANCELLED = "client_cancelled"


_PASSING = (408, 409, 429)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of our own in Anthropic's error form."""

    status: int
    error_type: str
    message: str
    retry_after: int | None = None
    lasting: bool | None = None
    """Whether it stays so until somebody changes something; None: as its status says."""

    @property
    def hopeless(self) -> bool:
        """Whether repeating the request is of no use."""
        if self.lasting is not None:
            return self.lasting
        return self.status < 500 and self.status not in _PASSING


@dataclass(frozen=True, slots=True)
class Try:
    """Send the request on this account."""

    account: Account
    why: str
    mended: bool = False
    """Without the thinking blocks that upstream refused."""
    refresh: bool = False
    """With a new token: the last one was refused."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds, then ask again."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give the client the latest answer that upstream itself gave."""


Step = Try | Pause | Deliver | Reply
Plan = Generator[Step, Failure | None, None]


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """What upstream answered to an attempt that failed, as far as it came."""

    status: int
    fields: Fields
    body: bytes


@dataclass(slots=True)
class Attempt:
    """One try to have the request answered: all that belongs to it alone, so that a next one begins with nothing."""

    number: int
    account: Account | None = None
    """Whose credential it carries; None: the caller's own."""
    sent_at: float = 0.0
    step: Try | None = None
    """What the failover plan asked for; None: the request is forwarded."""
    ready: bool = False
    """Set once the request is fit to be sent: whatever breaks before, sends nothing."""
    sent: bool = False
    """Upstream may have seen the request."""
    via: Via | None = None
    """The HTTP proxy that it goes through."""
    masked: Fields = field(default=(), repr=False)
    """The credentials of the flow's request, where that shows stars in their place since somebody may watch."""
    pins: tuple[str, ...] | None = None
    """SHA-256 of the certificates that upstream may show, in hex; None: any that is valid."""
    answer: ResponseReader | None = None
    """Reads upstream's response; None until its head has come."""
    failure: Failure | None = None
    """An addon may set it before the request is sent: then it is not."""
    upstream_response: UpstreamResponse | None = None
    """Where it failed."""
    status: int | None = None
    ended_at: float | None = None
    cooldown: float = 0.0
    backoff_level: int = 0
    retry_after: float | None = None
    upstream_request_id: str | None = None
    utilization_5h: float | None = None
    utilization_7d: float | None = None
    replaced: int = 0
    """Words that the attempt went out without."""


@dataclass(slots=True)
class Exchange:
    """One client request and all that became of it."""

    request_id: str
    began_at: float
    method: str = ""
    path: str = ""
    kind: Kind | None = None
    model: str | None = None
    """What the client asks for."""
    route: Route | None = None
    stream: bool = False
    tool_count: int = 0
    body_size: int = 0
    """Bytes that the client sent."""
    index: BodyIndex | None = field(default=None, repr=False)
    """The index of the client's body, if it is a Messages request."""
    session_id: str | None = None
    user_id: str | None = field(default=None, repr=False)
    """`metadata.user_id`, as the client sent it."""
    user_agent: str = ""
    caller: Caller | None = None
    trace_id: str = ""
    span_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    timeouts: Timeouts = field(default_factory=Timeouts)
    plan: Plan | None = None
    step: Step | None = None
    """What the plan says comes next."""
    why: str = ""
    attempt: Attempt | None = None
    """The current one, sent or not."""
    attempts: list[Attempt] = field(default_factory=list)
    """Those that were sent, or that failed before they could be."""
    masked: Fields = field(default=(), repr=False)
    """The caller's own credentials, where the flow shows stars in their place since somebody may watch."""
    admitted: bool = False
    """Set by the gate, which judges the head: without it nothing of the body is read, and nothing is sent."""

    refreshes: int = 0
    dropped: frozenset[str] = frozenset()
    """Digests of the thinking that was left out because upstream had refused it."""
    outcome: Outcome | None = None
    cost_usd: float | None = None
    """By the price table; for a subscription what it would have cost. None where nobody knows."""
    status: int | None = None
    first_byte_at: float | None = None
    ended_at: float | None = None

    @property
    def current_account(self) -> Account | None:
        """Return the account that the current attempt goes out on."""
        return self.attempt.account if self.attempt else None

    @property
    def account(self) -> Account | None:
        """Return the account of the latest attempt that was sent or has failed."""
        return self.attempts[-1].account if self.attempts else None

    @property
    def answer(self) -> ResponseReader | None:
        """Return the reader of the latest attempt's response; None where no head has come, or it failed."""
        latest = self.attempts[-1] if self.attempts else None
        return latest.answer if latest and latest.failure is None else None

    @property
    def usage(self) -> TokenUsage:
        """Return what upstream has told of tokens."""
        return self.answer.usage if self.answer else TokenUsage()

    @property
    def served(self) -> bool:
        """Whether upstream's answer to the latest attempt is what the client gets."""
        return self.answer is not None and self.answer.released

    @property
    def left_upstream(self) -> bool:
        """Whether the client left an attempt that upstream may be working on."""
        left = self.outcome is Outcome.CANCELLED and bool(self.attempts)
        return left and self.attempts[-1].failure is None

    @property
    def requirements(self) -> Requirements:
        """What decides who may serve it."""
        claude_code = self.user_agent.startswith("claude-cli/")
        model = self.route.model if self.route else self.model
        return Requirements(claude_code, model, self.session_id, self.charge, self.endpoint)

    @property
    def charge(self) -> Charge:
        """How its cost is known, on an account that is paid per use."""
        if self.kind is Kind.API:
            return charge_at(self.method, self.path)
        return Charge.FREE if self.kind is Kind.COUNT_TOKENS else Charge.TOLD

    @property
    def endpoint(self) -> str:
        """Whose limits it counts against."""
        if self.kind is Kind.API:
            return endpoint_of(self.path)
        return COUNT_TOKENS if self.kind is Kind.COUNT_TOKENS else MESSAGES

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm should upstream have acted on the first one."""
        inference = self.kind in (Kind.MESSAGES, Kind.COUNT_TOKENS)
        return inference or self.method in ("GET", "HEAD", "OPTIONS")

    def begin_attempt(self) -> Attempt:
        """Return a new current attempt. It counts once it is sent or has failed (`count`)."""
        self.attempt = Attempt(len(self.attempts) + 1, masked=self.masked)
        return self.attempt

    def count(self, attempt: Attempt) -> None:
        """List `attempt` among those that were sent or have failed; what is refused here is none of them."""
        if not self.attempts or self.attempts[-1] is not attempt:
            self.attempts.append(attempt)
            self.why = attempt.step.why if attempt.step else ""


def answer_for(exchange: Exchange, status: int, fields: Fields) -> ResponseReader:
    """Return a reader for the response whose head has come."""
    if exchange.plan is None:
        return OpaqueReader()
    if status < 400 and _values(fields, b"content-encoding") not in (b"", b"identity"):
        return OpaqueReader()  # can't be looked into; of an error the status says enough
    inference = exchange.kind in (Kind.MESSAGES, Kind.COUNT_TOKENS)
    types = _values(fields, b"content-type")
    if status == 200 and _is_stream(exchange, types):
        return EventStreamReader() if inference else OpaqueReader()
    is_file = not inference and exchange.path.partition("?")[0].endswith("/content")
    return WholeReader(
        status, may_be_empty=not inference, judged=not is_file, content_type=types.decode("latin-1")
    )


def _is_stream(exchange: Exchange, content_type: bytes) -> bool:
    """By what it calls itself; where it does not say, by what was asked for."""
    if content_type.startswith(b"text/event-stream"):
        return True
    untold = not content_type or content_type.startswith((b"text/plain", b"application/octet-"))
    return untold and exchange.stream and exchange.kind is Kind.MESSAGES


def _values(fields: Fields, name: bytes) -> bytes:
    return b",".join(value for key, value in fields if key.lower() == name).strip().lower()
