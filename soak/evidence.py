"""The evidence of a soak: the clients' results, the proxy's rows, the records of the upstreams."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec

from neurolink_mitm.core.logs.rows import CLIENT_LEFT
from soak.load import Result
from soak.processes import Proxy, Tunnels, Upstream

_Row = TypeVar("_Row")
_HEAD = "head"
"""The step of a request in a ledger at which its response begins."""


class Tokens(NamedTuple):
    """The token counts of a response; 0 where it has none."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0


class RequestRow(msgspec.Struct, rename="camel"):
    """The fields of `proxy-DATE.jsonl` that are compared."""

    request_id: str
    trace_id: str
    attempts: int
    outcome: str
    response_status: int | None
    ttfb_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_1h_tokens: int | None = msgspec.field(default=None, name="cacheCreation1hTokens")

    @property
    def tokens(self) -> Tokens:
        written, for_an_hour = self.cache_creation_tokens or 0, self.cache_creation_1h_tokens or 0
        return Tokens(
            self.input_tokens or 0,
            self.output_tokens or 0,
            self.cache_read_tokens or 0,
            written - for_an_hour,
            for_an_hour,
        )


class AttemptRow(msgspec.Struct, rename="camel"):
    """The fields of `proxy-attempts-DATE.jsonl` that are compared. Times are seconds since the epoch."""

    timestamp: datetime
    request_id: str
    attempt: int
    account: str | None
    response_status: int | None
    error_type: str | None
    duration_ms: float
    cooldown_ms: float
    upstream_request_id: str | None

    @property
    def start(self) -> float:
        return self.timestamp.timestamp()

    @property
    def end(self) -> float:
        return self.start + self.duration_ms / 1000

    @property
    def cool_until(self) -> float:
        return self.end + self.cooldown_ms / 1000

    @property
    def answered_well(self) -> bool:
        return self.error_type in (None, CLIENT_LEFT) and self.response_status == 200

    @property
    def kind(self) -> str:
        """Return `answered`, the status or the error type."""
        if self.answered_well:
            return "answered"
        return str(self.response_status or self.error_type)


@dataclass(frozen=True)
class Level:
    """The proxy's memory and open files at one time."""

    rss_mb: float
    files: int


@dataclass(frozen=True)
class Evidence:
    """The input of the checks.

    `ledgers`: for each account the ids of the requests that its upstream received, with the client's
    number, 0 if the body did not arrive. `answered`: the ids of those whose response began. `usages`: for
    each of these ids the token counts in its response, in order. `strays`: for each account those whose
    credentials came to its upstream. `connects`: the number of CONNECTs by account and result. `endings`:
    the number of connections that upstreams ended, by how. `output`: the proxy's standard output and error.
    """

    results: Sequence[Result]
    requests: Sequence[RequestRow]
    attempts: Sequence[AttemptRow]
    ledgers: Mapping[str, Mapping[str, int]]
    answered: Collection[str]
    strays: Mapping[str, Sequence[str]]
    connects: Mapping[tuple[str, str], int]
    endings: Mapping[str, int]
    usages: Mapping[str, Sequence[Tokens]]
    at_start: Level
    warmed_up: Level
    at_end: Level
    open_at_end: Sequence[str]
    output: str
    ended: str

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return the clients' numbers by the proxy's request ids."""
        return {row.request_id: int(row.trace_id, 16) for row in self.requests}

    @cached_property
    def by_account(self) -> dict[str, list[AttemptRow]]:
        """Return the attempts by account, in order of their start."""
        ordered = sorted(self.attempts, key=lambda row: row.start)
        return {name: [row for row in ordered if row.account == name] for name in self.ledgers}


def request_rows(proxy: Proxy) -> list[RequestRow]:
    return _rows(proxy, "proxy-2*.jsonl", RequestRow)


def attempt_rows(proxy: Proxy) -> list[AttemptRow]:
    return _rows(proxy, "proxy-attempts-2*.jsonl", AttemptRow)


def ledger_of(upstream: Upstream) -> dict[str, int]:
    steps = _steps(upstream)
    return {id_: int(number) for id_, number in steps if number != _HEAD}


def answered_by(upstream: Upstream) -> set[str]:
    return {id_ for id_, what in _steps(upstream) if what == _HEAD}


def _steps(upstream: Upstream) -> list[list[str]]:
    return [line.split() for line in upstream.records.ledger.read_text().splitlines()]


def strays_at(upstream: Upstream) -> list[str]:
    return upstream.records.strays.read_text().split()


def endings_of(upstreams: Sequence[Upstream]) -> Counter[str]:
    lines = (upstream.records.endings.read_text().splitlines() for upstream in upstreams)
    return Counter(line for found in lines for line in found)


def connects_of(tunnels: Tunnels) -> Counter[tuple[str, str]]:
    lines = (line.split() for line in tunnels.record.read_text().splitlines())
    return Counter((account, how) for account, how in lines)


class _Usage(msgspec.Struct):
    """A line of an upstream's record of usage."""

    id: str
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    cache_creation: dict[str, int] | None = None


def usages_of(upstreams: Sequence[Upstream]) -> dict[str, list[Tokens]]:
    counts: dict[str, list[Tokens]] = {}
    decoder = msgspec.json.Decoder(_Usage)
    for upstream in upstreams:
        for line in decoder.decode_lines(upstream.records.usage.read_bytes()):
            before = counts.setdefault(line.id, [])
            before.append(_tokens(line, before[-1] if before else Tokens()))
    return counts


def _tokens(usage: _Usage, before: Tokens) -> Tokens:
    """Return the token counts; the end of a stream leaves out the cache's duration, which stays."""
    tiers = usage.cache_creation
    for_an_hour = tiers["ephemeral_1h_input_tokens"] if tiers else before.cache_write_1h
    return Tokens(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens - for_an_hour,
        for_an_hour,
    )


def _rows(proxy: Proxy, pattern: str, kind: type[_Row]) -> list[_Row]:
    decoder = msgspec.json.Decoder(kind)
    files = sorted(proxy.logs.glob(pattern))
    return [row for file in files for row in decoder.decode_lines(file.read_bytes())]
