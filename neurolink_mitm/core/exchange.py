"""The record of one client request, which the addons share through the flow; each fills in its own part.

Times are seconds of the runtime's clock.
"""

from __future__ import annotations

import enum
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cost.budget import Metering, metering_at
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.openai.translated import AnswerFormat
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.providers.destinations import Route
from neurolink_mitm.core.request.body import BodyIndex, MessagesRequest
from neurolink_mitm.core.request.endpoints import (
    COUNT_TOKENS,
    EMBEDDINGS,
    MESSAGES,
    endpoint_of,
)
from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.core.request.target import UpstreamKey, Via
from neurolink_mitm.core.request.trace_context import Caller
from neurolink_mitm.core.response.reader import (
    EmbeddingsReader,
    EventStreamReader,
    OpaqueReader,
    ResponseReader,
    WholeReader,
)
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.core.settings.values import Timeouts


class Kind(enum.Enum):
    """The kind of a request, which decides who answers it and how closely the response is read."""

    LOCAL = "local"  # answered here
    MESSAGES = "messages"  # POST /v1/messages
    COUNT_TOKENS = "count_tokens"  # POST /v1/messages/count_tokens
    EMBEDDINGS = "embeddings"  # POST /v1/embeddings, which only other providers have
    API = "api"  # any other /v1/* path, on an account of the pool
    FORWARD = "forward"  # anything else, with the caller's own credentials


CONVERSATION_KINDS = (Kind.MESSAGES, Kind.COUNT_TOKENS)
"""Kinds whose body is a Messages request."""
INFERENCE_KINDS = (*CONVERSATION_KINDS, Kind.EMBEDDINGS)
WHOLE_KINDS = (Kind.MESSAGES, Kind.EMBEDDINGS)
"""Kinds whose response takes its time, and comes as a whole unless it is a stream."""


class Outcome(enum.StrEnum):
    """How a request ended; in the logs."""

    COMPLETE = "complete"
    ERROR = "error"
    TRUNCATED = "truncated"
    CANCELLED = "client_cancelled"


_TEMPORARY = (408, 409, 429)
_ENDPOINTS: Mapping[Kind | None, str] = {
    Kind.COUNT_TOKENS: COUNT_TOKENS,
    Kind.EMBEDDINGS: EMBEDDINGS,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of our own, in Anthropic's error form."""

    status: int
    error_type: str
    message: str
    retry_after: int | None = None
    lasting: bool | None = None
    """Whether only a change by the user helps; None: as the status says."""

    @property
    def hopeless(self) -> bool:
        """Whether a retry is of no use."""
        if self.lasting is not None:
            return self.lasting
        return self.status < 500 and self.status not in _TEMPORARY


@dataclass(frozen=True, slots=True)
class Try:
    """Send the request on this account."""

    account: Account
    why: str
    without_thinking: bool = False
    """Leave out the thinking blocks that upstream refused."""
    refresh: bool = False
    """Refresh the token, which upstream refused."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait `seconds`, then resume the plan."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until an account may serve, at the latest until `until` (seconds since the epoch); then resume the plan."""

    until: float
    why: str
    tried: frozenset[str] = frozenset()
    """The keys of accounts that don't count, as the request has tried them."""
    recovery: bool = False
    """It waits for an account to recover, by `routing.hold`, which is bounded (`core/failover/waiting.py`); else only
    for a moment, in which an account is about to be free."""
    awaits: str = ""
    """The key of the account that it may probe, if no other replica does: that is known within milliseconds."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliver upstream's latest response to the client."""


@dataclass(frozen=True, slots=True)
class Reconsider:
    """Sent to a plan instead of a failure: the account of its `Try` is not free any more, and nothing was sent."""


Step = Try | Pause | Hold | Deliver | Reply
Plan = Generator[Step, Failure | Reconsider | None, None]


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """Upstream's response to an attempt that failed, as far as it arrived."""

    status: int
    fields: Fields
    body: bytes


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request in OpenAI's form, as the client sent it."""

    fields: Fields = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Attempt:
    """One try of a request. Everything that belongs to it alone is here, so the next one starts clean."""

    number: int
    account: Account | None = None
    """The account whose credential it carries; None: the caller's own."""
    sent_at: float = 0.0
    step: Try | None = None
    """The step of the failover plan; None: the request is forwarded."""
    ready: bool = False
    """Set once the request may be sent: an addon that fails before that sends nothing."""
    sent: bool = False
    """Upstream may have received the request."""
    via: Via | None = None
    """The HTTP proxy on the way to upstream."""
    next_key: UpstreamKey | None = None
    """The way that the next attempt would go; None: the same, or nobody knows."""
    masked: Fields = field(default=(), repr=False)
    """The real credentials, where the flow's request holds masked ones for whoever inspects it."""
    pins: tuple[str, ...] | None = None
    """SHA-256 of the certificates that upstream may show, in hex; None: any valid one."""
    connect_seconds: float = 0.0
    """To connect: DNS, TCP, an HTTP proxy's CONNECT; 0 on a reused connection."""
    tls_seconds: float = 0.0
    """The TLS handshake with upstream; 0 on a reused or a plain connection."""
    wait_seconds: float | None = None
    """From the request being sent to the first byte of the response; None: none came."""
    reused: bool = False
    """Sent on a connection that was open before the attempt."""
    reader: ResponseReader | None = None
    """Reader of upstream's response; None until its head has arrived."""
    failure: Failure | None = None
    """Why it failed. If an addon sets this first, the request is not sent."""
    reason: str = ""
    """The same in words, as the pool has it."""
    upstream_response: UpstreamResponse | None = None
    """If it failed."""
    status: int | None = None
    ended_at: float | None = None
    cooldown: float = 0.0
    backoff_level: int = 0
    retry_after: float | None = None
    upstream_request_id: str | None = None
    utilization_5h: float | None = None
    utilization_7d: float | None = None
    replaced: int = 0
    """Words that shaping replaced."""


@dataclass(slots=True, weakref_slot=True)
class Exchange:
    """One client request, from its head to its end."""

    request_id: str
    began_at: float
    method: str = ""
    path: str = ""
    kind: Kind | None = None
    api: Api = Api.ANTHROPIC
    """The API that the client speaks: the kind of a chat or responses request is `MESSAGES`, as it is translated."""
    model: str | None = None
    """The model that the client asks for."""
    route: Route | None = None
    stream: bool = False
    tool_count: int = 0
    body_size: int = 0
    """Bytes of the client's body."""
    messages_request: MessagesRequest | None = field(default=None, repr=False)
    """What a translated request asks for, as its body need not be read for it."""
    index: BodyIndex | None = field(default=None, repr=False)
    """The index of the Messages request: the client's, or what its request was translated to."""
    client_request: ClientRequest | None = field(default=None, repr=False)
    """What was translated, until the response begins."""
    answer: AnswerFormat | None = field(default=None, repr=False)
    """The form of the response, if the request was translated."""
    notes: tuple[str, ...] = ()
    """What the translation left out, for the log."""
    session_id: str | None = None
    user_id: str | None = field(default=None, repr=False)
    """`metadata.user_id`, as the client sent it."""
    user_agent: str = ""
    client_key: ClientKey | None = None
    """The client key that the caller presented, with its limits; None: it presented none, or one without a name."""
    agent_id: str | None = None
    """The agent of Claude Code that asks: `x-claude-code-agent-id`."""
    parent_agent_id: str | None = None
    """The agent that started it: `x-claude-code-parent-agent-id`."""
    caller: Caller | None = None
    trace_id: str = ""
    span_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    """`x-neurolink-{session,user,conversation}-id`, by the word in the middle."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    plan: Plan | None = None
    step: Step | None = None
    """The next step of the plan."""
    why: str = ""
    attempt: Attempt | None = None
    """The current one, sent or not."""
    attempts: list[Attempt] = field(default_factory=list)
    """Those that were sent, or failed before."""
    masked: Fields = field(default=(), repr=False)
    """The caller's real credentials, where the flow holds masked ones for whoever inspects it."""
    admitted: bool = False
    """Set by the gate, by the head: until then no body is read and nothing is sent."""

    hold_asked: float | None = None
    """The seconds that `x-neurolink-hold` asks for."""
    age: float = 0.0
    """Monotonic seconds since the request was whole, as of the current attempt."""
    place: int | None = None
    """Its place in the order of those that are held; None: it never was."""
    held_seconds: float = 0.0
    """How long it waited for an account, in all."""
    moved_cache_tokens: int | None = None
    """Tokens written to a prompt cache again, since the session moved to another account; None: it did not move."""
    refreshes: int = 0
    dropped: frozenset[str] = frozenset()
    """Digests of the thinking that upstream refused and that was left out."""
    outcome: Outcome | None = None
    cost_usd: float | None = None
    """By the price table, also for a subscription; None where the price is unknown."""
    status: int | None = None
    first_byte_at: float | None = None
    ended_at: float | None = None

    @property
    def client(self) -> str | None:
        """Return the name of the client key."""
        return self.client_key.name if self.client_key else None

    @property
    def current_account(self) -> Account | None:
        return self.attempt.account if self.attempt else None

    @property
    def account(self) -> Account | None:
        """Return the account of the latest attempt that was sent or has failed."""
        return self.attempts[-1].account if self.attempts else None

    @property
    def reader(self) -> ResponseReader | None:
        """Return the reader of the latest attempt's response; None before its head, or if it failed."""
        latest = self.attempts[-1] if self.attempts else None
        return latest.reader if latest and latest.failure is None else None

    @property
    def usage(self) -> TokenUsage:
        return self.reader.usage if self.reader else TokenUsage()

    @property
    def served(self) -> bool:
        """Whether the client gets upstream's response to the latest attempt."""
        return self.reader is not None and self.reader.released

    @property
    def left_upstream(self) -> bool:
        """Whether the client cancelled while upstream may have been working on the request."""
        left = self.outcome is Outcome.CANCELLED and bool(self.attempts)
        return left and self.attempts[-1].failure is None

    @property
    def requirements(self) -> Requirements:
        """Return the properties that decide which accounts may serve it."""
        claude_code = self.api is Api.ANTHROPIC and self.user_agent.startswith("claude-cli/")
        model = self.route.model if self.route else self.model
        capped = self.client_key is not None and self.client_key.daily_cap_usd is not None
        return Requirements(
            claude_code, model, self.session_id, self.metering, self.endpoint, capped
        )

    @property
    def metering(self) -> Metering:
        """Return whether its cost can be metered, on an account that is paid per use."""
        if self.kind is Kind.API:
            return metering_at(self.method, self.path)
        return Metering.FREE if self.kind is Kind.COUNT_TOKENS else Metering.METERED

    @property
    def endpoint(self) -> str:
        """Return the endpoint whose rate limits it counts against."""
        if self.kind is Kind.API:
            return endpoint_of(self.path)
        return _ENDPOINTS.get(self.kind, MESSAGES)

    @property
    def repeatable(self) -> bool:
        """Whether upstream may act on it twice without harm."""
        inference = self.kind in INFERENCE_KINDS
        return inference or self.method in ("GET", "HEAD", "OPTIONS")

    def model_at(self, provider: Account) -> str | None:
        """Return the model that another provider is asked for."""
        return provider.model or (self.route.model if self.route else None) or self.model

    def begin_attempt(self) -> Attempt:
        """Make a new current attempt. It counts once it is sent or has failed (`count`)."""
        self.attempt = Attempt(len(self.attempts) + 1, masked=self.masked)
        return self.attempt

    def count(self, attempt: Attempt) -> None:
        """Add `attempt` to `attempts`, once it was sent or has failed; a request refused here has none."""
        if not self.attempts or self.attempts[-1] is not attempt:
            self.attempts.append(attempt)
            self.why = attempt.step.why if attempt.step else ""


def reader_for(exchange: Exchange, status: int, fields: Fields) -> ResponseReader:
    """Return the reader for a response with this head."""
    if exchange.plan is None:
        return OpaqueReader()
    if status < 400 and _values(fields, b"content-encoding") not in (b"", b"identity"):
        return OpaqueReader()  # compressed: not read; the status of an error says enough
    inference = exchange.kind in INFERENCE_KINDS
    types = _values(fields, b"content-type")
    if status == 200 and _is_stream(exchange, types):
        return EventStreamReader() if inference else OpaqueReader()
    if exchange.kind is Kind.EMBEDDINGS:
        return EmbeddingsReader(status, may_be_empty=False, content_type=types.decode("latin-1"))
    is_file = not inference and exchange.path.partition("?")[0].endswith("/content")
    return WholeReader(
        status, may_be_empty=not inference, judged=not is_file, content_type=types.decode("latin-1")
    )


def _is_stream(exchange: Exchange, content_type: bytes) -> bool:
    """Return whether the response is a stream: by its content type, else by what the client asked for."""
    if content_type.startswith(b"text/event-stream"):
        return True
    generic = not content_type or content_type.startswith((b"text/plain", b"application/octet-"))
    return generic and exchange.stream and exchange.kind is Kind.MESSAGES


def _values(fields: Fields, name: bytes) -> bytes:
    return b",".join(value for key, value in fields if key.lower() == name).strip().lower()
