"""The outside world of the addons, as small protocols, and the `Runtime` that holds what implements them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from neurolink_mitm.core.auth.access import Key
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.cost.client_limits import ClientLimits
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.logs.capture import Captured
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.openai.responses.stored import Memory
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.readings import SavedReading
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.http_proxy import HttpProxies
from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.shaping.pipeline import Pipeline
from neurolink_mitm.core.status.event_loop import Lag
from neurolink_mitm.core.status.in_flight import InFlight
from neurolink_mitm.core.status.metrics import Point
from neurolink_mitm.core.status.readiness import Readiness
from neurolink_mitm.core.status.recent import Recent


class Component(Protocol):
    """A part of the proxy with a start and a stop."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Release everything, within a bounded time; also if `start` was not called, or failed."""


class Clock(Protocol):
    """The time: seconds since the epoch."""

    def now(self) -> float: ...


class RandomSource(Protocol):
    """Ids and jitter."""

    def request_id(self) -> str:
        """Unique, printable, without meaning."""

    def hex(self, length: int) -> str:
        """Random lower-case hex digits, for trace and span ids."""

    def jitter(self) -> float:
        """In [0, 1)."""


class Journal(Protocol):
    """Writes log rows in the background; never blocks and never raises."""

    def request(self, row: RequestRow) -> None: ...

    def attempt(self, row: AttemptRow) -> None: ...

    def report(self) -> Mapping[str, object]:
        """Return, for `/status`, how many rows were dropped, and the last error."""


class Bodies(Protocol):
    """Writes captured bodies in the background; never blocks and never raises."""

    def capture(self, captured: Captured) -> None: ...


class StateStore(Protocol):
    """Persists the state of accounts in the background; never blocks and never raises."""

    def cooldowns(self, by_account: Mapping[str, PersistedState]) -> None: ...

    def quotas(self, by_account: Mapping[str, Quota]) -> None: ...


class WindowHistory(Protocol):
    """Writes what was used of windows over time, in the background; never blocks and never raises."""

    def add(self, readings: Sequence[SavedReading]) -> None: ...


class Refresher(Protocol):
    """Exchanges refresh tokens for new access tokens, one at a time for each account."""

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        """Return a valid token, by a refresh if needed. With `force`, `account.secret` counts as refused."""

    async def flush(self) -> bool:
        """Try again to write unwritten tokens. Return whether none are left."""

    @property
    def unwritten(self) -> Mapping[str, str]:
        """Why the newest tokens of an account are not on disk, by label."""

    def newest(self, account: Account) -> Account:
        """Return `account`, as read from disk, with the newest token."""

    @property
    def clock_skew(self) -> float | None:
        """Seconds that our clock is ahead of the token endpoint's; None before its first response."""

    async def close(self) -> None:
        """Wait for running refreshes, whose tokens would be lost otherwise, and write unwritten tokens."""


class Upstreams(Protocol):
    """The connections to upstream."""

    def prepare(self, key: UpstreamKey) -> None:
        """Have one ready, since a request may soon go that way. Does not block."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the translator, and the secret that it requires."""

    port: int
    secret: str = field(repr=False)
    host: str = "127.0.0.1"


class Translator(Protocol):
    """Translates between Anthropic's API and other providers'."""

    @property
    def endpoint(self) -> Endpoint | None:
        """None while it does not listen."""

    async def wait(self, limit: float) -> Endpoint | None:
        """Return the endpoint as soon as it listens; None after `limit` seconds."""

    async def settle(self) -> None:
        """After a lost connection, wait until the end of the process is noticed, or a moment if it lives on."""

    def report(self) -> Mapping[str, object]:
        """Return the part of `/status`."""


class Telemetry(Protocol):
    """Exports finished requests to a collector in the background; never blocks and never raises."""

    @property
    def on(self) -> bool:
        """Whether there is a collector."""

    def record(self, exchange: Exchange, span_ids: Sequence[str]) -> None:
        """Export a finished request; `span_ids` are for its attempts."""

    def report(self) -> Mapping[str, object] | None:
        """Return the part of `/status`; None where it is off."""


class Metrics(Protocol):
    """The registry of metrics."""

    def record(self, points: Iterable[Point]) -> None:
        """Count `points` up. Does not block."""

    def page(self, current: Iterable[Point], replica: str | None = None) -> Iterator[str]:
        """Yield the text for Prometheus, a metric at a time; `current` are the points of this moment.

        In a cluster each sample has the label `replica`.
        """


class Notices(Protocol):
    """Tells the user of events in the background; never blocks and never raises."""

    def served(self, exchange: Exchange) -> None:
        """Note who has served a finished request."""

    def report(self) -> Mapping[str, object] | None:
        """Return the part of `/status`; None where no channel is on."""


class Dashboard(Protocol):
    """The pages for the browser, on a listener of their own."""

    @property
    def url(self) -> str | None:
        """The address of the pages, without a token; None where nothing listens."""

    @property
    def fault(self) -> str:
        """Why there is no `url`."""

    def report(self) -> Mapping[str, object] | None:
        """For `/status`; None where nothing listens."""

    def expect(self, link: str) -> None:
        """Let a link sign one browser in, once, within a minute; `link` is the digest of its token."""


class Certificate(Protocol):
    """The certificate by which the proxy speaks TLS with its callers."""

    @property
    def context(self) -> ssl.SSLContext: ...
    @property
    def path(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex digits."""

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts that it is for."""

    @property
    def self_signed(self) -> bool: ...
    @property
    def begins(self) -> float: ...
    @property
    def ends(self) -> float:
        """In seconds since the epoch."""


class Cluster(Protocol):
    """The replicas that this one is a part of."""

    @property
    def name(self) -> str:
        """This replica's name, in rows, metrics and views."""

    def report(self) -> Mapping[str, object]:
        """Return the part of `/status`. Any thread may ask."""

    def gauges(self, now: float) -> Mapping[str, float]:
        """Return the metrics `proxy_cluster_*` of this moment that there is a value of. Any thread may ask."""

    def tells(self) -> bool:
        """Return whether this is the one of the replicas that tells the user of events."""


class Probes(Protocol):
    """Which replica probes an account that has cooled down: one a cooldown."""

    def denied_until(self, key: str, requirements: Requirements, now: float) -> float | None:
        """Return until when such a request must not probe the account; None: it may, or it probes nothing.

        Asks for the right, and does not block: until it is known, the pool takes the account for one that is probed.
        """

    def is_late(self, key: str, requirements: Requirements) -> bool:
        """Return whether it may, but only since the answer takes long: another account is better, if there is one."""


class Spending(Protocol):
    """Books what is paid per use, and what each client has used."""

    def add(self, usd: float, now: float, client: str | None = None, used: float = 0.0) -> None:
        """Book a request: what is paid for it, and what `client` has used by the price list.

        Does not block and does not raise.
        """


@dataclass(slots=True)
class Totals:
    """Counts since the start; `requests` are those for an account, without probes and status pages."""

    attempts: int = 0
    requests: int = 0
    success: int = 0
    errors: int = 0
    rate_limits: int = 0


@dataclass(slots=True)
class Runtime:
    """What all addons share. A replaced attribute takes effect for the next request."""

    config: Config
    pool: Pool
    clock: Clock
    random_source: RandomSource
    journal: Journal
    state_store: StateStore
    metrics: Metrics
    window_history: WindowHistory | None = None
    refresher: Refresher | None = None
    upstreams: Upstreams | None = None
    translator: Translator | None = None
    spending: Spending | None = None
    telemetry: Telemetry | None = None
    notices: Notices | None = None
    dashboard: Dashboard | None = None
    certificate: Certificate | None = None
    """None where callers speak plain HTTP."""
    cluster: Cluster | None = None
    """None where this proxy is by itself."""
    probes: Probes | None = None
    """None where this proxy is by itself."""
    prices: Prices = field(default_factory=lambda: Prices({}))
    bodies: Bodies | None = None
    """None: bodies are not captured, whatever the configuration says."""
    memory: Memory = field(default_factory=Memory)
    """The responses that clients of OpenAI's API may continue."""
    shaping: Pipeline = field(default_factory=Pipeline)
    waiting: WaitingRoom = field(default_factory=WaitingRoom)
    """The requests that are held."""
    totals: Totals = field(default_factory=Totals)
    in_flight: InFlight = field(default_factory=InFlight)
    recent: Recent = field(default_factory=Recent)
    lag: Lag = field(default_factory=Lag)
    readiness: Readiness = field(default_factory=Readiness)
    say: Callable[[str], object] | None = None
    """Writes a line of the console; None: lines are logged, which costs more and which mitmproxy's programs show."""
    host: str = "127.0.0.1"
    port: int = 0
    proxies: HttpProxies = field(default_factory=HttpProxies)
    """The HTTP proxies on the way to upstream."""
    names: frozenset[str] = frozenset()
    """Names of this machine by which callers may address it, beside loopback's, `host` and `listen.hosts`."""
    pid: int = 0
    passthrough: bool = False
    admin_token: Secret | None = None
    """Token with which the user who started the proxy may reset accounts; None: nobody may."""
    started_at: float = 0.0
    clients: tuple[ClientKey, ...] = ()
    """Made by `neurolink clients add`."""
    client_limits: ClientLimits = field(default_factory=ClientLimits)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process's environment and the env file: keys of other providers come from here."""
    config_path: str | None = None
    config_errors: tuple[str, ...] = ()
    config_loaded_at: float = 0.0
    """When a reload last succeeded; 0: at the start."""
    on_config: list[Callable[[Config], object]] = field(default_factory=list)
    """Callbacks, on the event loop, with the new configuration, after it or `environ` was replaced."""

    @property
    def client_keys(self) -> tuple[Key, ...]:
        """Return the keys of which callers must present one, if there are any."""
        return (*self.config.clients.api_keys, *self.clients)
