"""What the addons need of the outside, as small protocols, and the Runtime that holds their real sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from neurolink_mitm.core.auth.access import ClientKey, Key
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.logs.capture import Captured
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import PersistedState, Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.http_proxy import HttpProxies
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.shaping.pipeline import Pipeline
from neurolink_mitm.core.status.event_loop import Lag
from neurolink_mitm.core.status.metrics import Point


class Component(Protocol):
    """A part of the proxy that is started when it serves, and stopped before it ends."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Let go of everything, within a bounded time. Also called where `start` was not, or failed."""


class Clock(Protocol):
    """Time for the record: seconds since the epoch."""

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
    """Takes rows at once and writes them elsewhere; never blocks and never raises."""

    def request(self, row: RequestRow) -> None: ...

    def attempt(self, row: AttemptRow) -> None: ...

    def report(self) -> Mapping[str, object]:
        """For `/status`: how many rows were dropped, and what went wrong last."""


class Bodies(Protocol):
    """Takes what was sent and received at once and writes it elsewhere; never blocks and never raises."""

    def capture(self, captured: Captured) -> None: ...


class StateStore(Protocol):
    """Keeps what is known of accounts across restarts. Takes it at once, writes it elsewhere, never raises."""

    def cooldowns(self, by_account: Mapping[str, PersistedState]) -> None: ...

    def quotas(self, by_account: Mapping[str, Quota]) -> None: ...


class Refresher(Protocol):
    """Exchanges refresh tokens for new access tokens, one at a time for each account."""

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        """Does not raise. With `force` the account's token counts as bad, however long it was to last."""

    async def flush(self) -> bool:
        """Try again to write tokens that could not be written. Whether none are left."""

    @property
    def unwritten(self) -> Mapping[str, str]:
        """Labels of accounts whose newest tokens are not on disk, and why."""

    def newest(self, account: Account) -> Account:
        """As it was read from the disk, but with the newest token, should that not be there yet."""

    @property
    def clock_skew(self) -> float | None:
        """Seconds that our clock is ahead of the token endpoint's; None: not seen yet."""

    async def close(self) -> None:
        """Let running refreshes end, whose tokens would be lost otherwise, and write what is left."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the translator listens, and what it wants to be shown."""

    port: int
    secret: str = field(repr=False)
    host: str = "127.0.0.1"


class Translator(Protocol):
    """Speaks Anthropic's API and asks other providers."""

    @property
    def endpoint(self) -> Endpoint | None:
        """None while it does not listen."""

    async def wait(self, limit: float) -> Endpoint | None:
        """As soon as it listens; None if that takes more than `limit` seconds."""

    async def settle(self) -> None:
        """For one who lost it: return when its end has been noticed here, too, or soon if it lives on."""

    def report(self) -> Mapping[str, object]:
        """For `/status`."""


class Telemetry(Protocol):
    """Takes finished requests at once and sends them to a collector; never blocks and never raises."""

    @property
    def on(self) -> bool:
        """Whether there is a collector."""

    def record(self, exchange: Exchange, span_ids: Sequence[str]) -> None:
        """One that has ended, and ids for its attempts' spans."""

    def report(self) -> Mapping[str, object] | None:
        """For `/status`; None where it is off."""


class Metrics(Protocol):
    """The registry of metrics."""

    def record(self, points: Iterable[Point]) -> None:
        """Count `points` up. Does not block."""

    def page(self, current: Iterable[Point]) -> Iterator[str]:
        """Yield the text for Prometheus, a metric at a time; `current` are the points of this moment."""


class Spending(Protocol):
    """Counts what is paid per use."""

    def add(self, usd: float, now: float) -> None:
        """Does not block and does not raise."""


@dataclass(slots=True)
class Totals:
    """Counted since the start; requests are those for an account, not probes and status pages."""

    attempts: int = 0
    requests: int = 0
    success: int = 0
    errors: int = 0
    rate_limits: int = 0


@dataclass(slots=True)
class Runtime:
    """All that the addons share. What is replaced here takes effect for the next request."""

    config: Config
    pool: Pool
    clock: Clock
    random_source: RandomSource
    journal: Journal
    state_store: StateStore
    metrics: Metrics
    refresher: Refresher | None = None
    translator: Translator | None = None
    spending: Spending | None = None
    telemetry: Telemetry | None = None
    prices: Prices = field(default_factory=lambda: Prices({}))
    bodies: Bodies | None = None
    """None: bodies are not captured, whatever the configuration says."""
    shaping: Pipeline = field(default_factory=Pipeline)
    totals: Totals = field(default_factory=Totals)
    lag: Lag = field(default_factory=Lag)
    host: str = "127.0.0.1"
    port: int = 0
    proxies: HttpProxies = field(default_factory=HttpProxies)
    """Those on the way to upstream."""
    names: frozenset[str] = frozenset()
    """Names of this machine by which callers may address it, beside loopback's and `host`."""
    pid: int = 0
    passthrough: bool = False
    admin_token: Secret | None = None
    """Lets the user who started the proxy reset accounts; None: nobody can."""
    started_at: float = 0.0
    clients: tuple[ClientKey, ...] = ()
    """Made by `neurolink clients add`."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process's environment with what the env file adds: keys of other providers come from here."""
    config_path: str | None = None
    config_errors: tuple[str, ...] = ()
    config_loaded_at: float = 0.0
    """The last time that all was good; 0: at the start."""
    on_config: list[Callable[[Config], object]] = field(default_factory=list)
    """Called with the new configuration, on the event loop, when it or `environ` has been replaced by another."""

    @property
    def client_keys(self) -> tuple[Key, ...]:
        """Of which callers must show one, if there are any."""
        return (*self.config.clients.api_keys, *self.clients)
