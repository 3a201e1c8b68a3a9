"""Stand-ins for what the addons and the core need of the outside, and builders of what they work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.core.auth.credentials import account_type
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cluster.report import RedisState, cluster_report
from neurolink_mitm.core.exchange import Attempt, Exchange, Plan, Try
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.translator import Setup
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.response.reader import OpaqueReader
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.metrics import METRICS
from neurolink_mitm.ports import Endpoint, Runtime
from neurolink_mitm.telemetry.otlp import OtlpTelemetry
from neurolink_mitm.telemetry.registry import MetricRegistry
from neurolink_mitm.telemetry.setup import telemetry_setup

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
NOW = 1_760_000_000.0  # 2025-10-09T08:53:20Z


@dataclass
class FakeClock:
    """Stands still until it is told to advance."""

    seconds: float = NOW

    def now(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class FakeRandomSource:
    """Ids count up, hex digits are those of the count, jitter is what it was told."""

    jitter_is: float = 0.5
    drawn: int = 0

    def _draw(self) -> int:
        self.drawn += 1
        return self.drawn

    def request_id(self) -> str:
        return f"req_{self._draw()}"

    def hex(self, length: int) -> str:
        return f"{self._draw():0{length}x}"

    def jitter(self) -> float:
        return self.jitter_is


@dataclass
class ListJournal:
    """Keeps its rows."""

    requests: list[RequestRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)

    def request(self, row: RequestRow) -> None:
        self.requests.append(row)

    def attempt(self, row: AttemptRow) -> None:
        self.attempts.append(row)

    def report(self) -> dict[str, object]:
        return {"dropped": 0, "bodiesDropped": 0, "lastError": None}


@dataclass
class MemoryStateStore:
    """Keeps what it was handed last."""

    kept_cooldowns: Any = None
    kept_quotas: Any = None

    def cooldowns(self, by_account: Any) -> None:
        self.kept_cooldowns = by_account

    def quotas(self, by_account: Any) -> None:
        self.kept_quotas = by_account


@dataclass
class FakeTranslator:
    """Listens at once, or after so many seconds of waiting, or never."""

    endpoint: Endpoint | None = field(default_factory=lambda: Endpoint(4712, "test-secret"))
    after_waiting: Endpoint | None = None
    waited: list[float] = field(default_factory=list)
    settled: int = 0

    async def settle(self) -> None:
        self.settled += 1

    async def wait(self, limit: float) -> Endpoint | None:
        self.waited.append(limit)
        return self.after_waiting

    def report(self) -> dict[str, object]:
        return {**TranslatorProcess(Path("x"), Setup(""), {}).report(), "state": "ready"}


@dataclass
class FakeTelemetry:
    """Keeps what it is handed, as if there were a collector; or as if there were none."""

    on: bool = True
    recorded: list[tuple[Exchange, Sequence[str]]] = field(default_factory=list)

    def record(self, exchange: Exchange, span_ids: Sequence[str]) -> None:
        self.recorded.append((exchange, span_ids))

    def report(self) -> Mapping[str, object] | None:
        return OtlpTelemetry(telemetry_setup(COLLECTOR)).report() if self.on else None


@dataclass
class FakeNotices:
    """Keeps the exchanges that it is handed."""

    exchanges: list[Exchange] = field(default_factory=list)

    def served(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def report(self) -> Mapping[str, object] | None:
        return {"channels": ["command"], "sent": 0, "failed": 0, "lastError": None}


@dataclass
class FakeDashboard:
    """Keeps the links that it is to expect."""

    url: str | None = "http://127.0.0.1:55670"
    fault: str = "the dashboard is off: dashboard.enabled"
    links: list[str] = field(default_factory=list)

    def report(self) -> Mapping[str, object] | None:
        return {"url": self.url, "readOnly": False} if self.url else None

    def expect(self, link: str) -> None:
        self.links.append(link)


@dataclass
class FakeCluster:
    """Three replicas; the last is of another version."""

    name: str = "eu-1"
    first: bool = True
    """Whether this is the replica that tells of events."""
    redis: RedisState = field(
        default_factory=lambda: RedisState(
            True, "closed", NOW - 60, lag=0.001, read_at=NOW, clock_skew=0.0
        )
    )
    members: dict[str, Member] = field(
        default_factory=lambda: {
            f"id-{n}": Member(
                f"eu-{n}",
                version=version,
                started_at=NOW - 60,
                seen_at=NOW,
                requests=10 * n,
                success=9 * n,
                lag_ms=1.0,
            )
            for n, version in ((1, "1.0"), (2, "1.0"), (3, "0.9"))
        }
    )

    def report(self) -> Mapping[str, object]:
        report = cluster_report("nl", "id-1", self.redis, self.members, lambda at: at)
        return {**report, "replica": self.name}

    def gauges(self, now: float) -> Mapping[str, float]:
        names = [name for name in METRICS if name.startswith("proxy_cluster_")]
        return dict.fromkeys(names, 1.0)

    def tells(self) -> bool:
        return self.first


@dataclass
class FakeProbes:
    """Denies what is in `denied`, by account key, until then; `asked` is for what. Of `late` the answer takes long."""

    denied: dict[str, float] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    pool: Any = None

    def denied_until(self, key: str, requirements: Any, now: float) -> float | None:
        self.asked.append(key)
        if until := self.denied.get(key):
            self.pool.reserve(key, ["*"], until, now, asked=True)
        return until

    def is_late(self, key: str, requirements: Any) -> bool:
        return key in self.late


def make_account(label: str = "work", token: str = "", **changes: Any) -> Account:
    """An API-key account, or a login if `token` is one (`sk-ant-oat…`)."""
    secret = Secret(token or f"sk-ant-test-{label}")
    settings = {
        "key": f"anthropic:{label}",
        "label": label,
        "type": account_type(secret),
        "secret": secret,
        "base_url": "https://api.anthropic.com",
        **changes,
    }
    return Account(**settings)


def make_other(provider: str = "openai", model: str = "gpt-x", **changes: Any) -> Account:
    """A model of another provider."""
    name = f"{provider}/{model}"
    return make_account(
        name, key=name, type="provider", provider=provider, model=model, base_url="", **changes
    )


def make_runtime(*accounts: Account, **changes: Any) -> Runtime:
    """A runtime of fakes that serves these accounts."""
    settings = {
        "config": Config(),
        "pool": Pool(accounts),
        "clock": FakeClock(),
        "random_source": FakeRandomSource(),
        "journal": ListJournal(),
        "state_store": MemoryStateStore(),
        "metrics": MetricRegistry(),
        "port": 55669,
        "pid": 4711,
        "started_at": NOW,
        **changes,
    }
    return Runtime(**settings)


def make_exchange(**changes: Any) -> Exchange:
    """The record of a request that began just now; what belongs to an attempt is of the latest of `attempts`."""
    own = {name: changes.pop(name) for name in ("reader", "failure", "ready") if name in changes}
    if isinstance(changes.get("step"), Try):
        own["step"] = changes["step"]
    attempts = list(changes.pop("attempts", ()))
    if own and attempts:
        attempts[-1] = replace(attempts[-1], **own)
    known = {"request_id": "req_1", "began_at": NOW, "method": "POST", "attempts": attempts}
    return Exchange(**known | {"attempt": attempts[-1] if attempts else None} | changes)


def make_attempt(account: Account | None = None, **changes: Any) -> Attempt:
    """A first attempt that went out just now, and whose answer may go to the client as it comes."""
    known = {
        "number": 1,
        "account": account,
        "sent_at": NOW,
        "sent": True,
        "reader": OpaqueReader(),
    }
    return Attempt(**known | changes)


def make_plan(account: Account | None = None) -> Plan:
    """A plan that knows one account only."""
    yield Try(account or make_account(), "the only one")


def make_failure(status: int | None = 429, headers: str = "", **changes: Any) -> Failure:
    """An answer of this status that named no error; `headers` are lines of `name: value`."""
    lines = (line.partition(":") for line in headers.strip().splitlines())
    settings = {
        "stage": FailureStage.STATUS,
        "status": status,
        "error_type": f"http_{status}",
        "message": "",
        "headers": tuple((k.strip().encode(), v.strip().encode()) for k, _, v in lines),
        **changes,
    }
    return Failure(**settings)
