"""Rows that advance by turns through the same cells."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import processes, summary
from bench.certificates import Certificates
from bench.measure import measure, play_round
from bench.plan import Plan
from bench.processes import Server
from bench.rows import BASELINE, DIRECT, Rows, Start, starts_of
from bench.samples import CELLS, STREAMED, Cell, Measured
from bench.variants import (
    AS_CHAT,
    AS_MESSAGES,
    FEW,
    MANY,
    ORDINARY,
    WITH_CONSOLE,
    Variant,
    with_accounts,
)

_PLAIN_SECONDS = 50.0
_TLS_SECONDS = 30.0
_OWN_SECONDS = 10.0


@dataclass(frozen=True)
class Comparison:
    """What is compared: `seconds` is the most that all rounds take, `baseline` the row of the ratios."""

    part: str
    title: str
    starts: Mapping[str, Start]
    cells: Sequence[Cell]
    seconds: float
    baseline: str = BASELINE
    direct: bool = False
    tls: bool = False

    @property
    def rows(self) -> tuple[str, ...]:
        return (DIRECT, *self.starts) if self.direct else tuple(self.starts)


@dataclass(frozen=True)
class Table:
    """The result of a comparison."""

    part: str
    title: str
    baseline: str
    rounds: int
    requests: int
    lines: Sequence[summary.Line]
    options: Sequence[summary.OptionLine]
    measured: Sequence[Measured]


def comparisons(rows: Rows) -> list[Comparison]:
    direct = DIRECT in rows.names
    return [
        Comparison("plain", "Plain HTTP", rows.with_options, CELLS, _PLAIN_SECONDS, direct=direct),
        Comparison(
            "tls", "Over TLS", rows.proxies, STREAMED, _TLS_SECONDS, direct=direct, tls=True
        ),
        _own("accounts", f"{MANY} accounts", with_accounts(FEW), with_accounts(MANY)),
        _own("console", "Without --quiet", ORDINARY, WITH_CONSOLE),
        _own("chat", "As a chat completion", AS_MESSAGES, AS_CHAT, STREAMED),
    ]


def _own(
    part: str,
    title: str,
    first: Variant,
    second: Variant,
    cells: Sequence[Cell] = STREAMED[1:],
) -> Comparison:
    """Return the comparison of two variants, with many clients if `cells` are not given."""
    return Comparison(part, title, starts_of(first, second), cells, _OWN_SECONDS, first.name)


def compare(comparison: Comparison, plan: Plan, certificates: Certificates) -> Table:
    """Start the rows' processes and play the rounds."""
    with ExitStack() as stack:
        secrets = certificates if comparison.tls else None
        target = stack.enter_context(processes.upstream(secrets))
        servers = [target.direct] if comparison.direct else []
        servers += [stack.enter_context(start(target)) for start in comparison.starts.values()]
        measured = asyncio.run(_play(comparison, servers, plan))
    return _table(comparison, plan, measured)


def _table(comparison: Comparison, plan: Plan, measured: Sequence[Measured]) -> Table:
    cells, baseline = comparison.cells, comparison.baseline
    variants = [row for row in comparison.rows if row not in (DIRECT, BASELINE)]
    compared = variants if baseline == BASELINE else []
    return Table(
        part=comparison.part,
        title=comparison.title,
        baseline=baseline,
        rounds=measured[-1].turn + 1,
        requests=plan.requests,
        lines=summary.lines(measured, comparison.rows, cells, baseline),
        options=summary.option_lines(measured, compared, cells),
        measured=measured,
    )


async def _play(comparison: Comparison, servers: Sequence[Server], plan: Plan) -> list[Measured]:
    for cell in comparison.cells:
        await measure(servers, cell, plan.warm_up)
    started = time.monotonic()
    measured: list[Measured] = []
    for turn in range(plan.rounds):
        measured += await play_round(servers, comparison.cells, plan.requests, turn)
        used = time.monotonic() - started
        if used + used / (turn + 1) > comparison.seconds * plan.time:
            break
    return measured
