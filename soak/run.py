"""The course of a soak: warm up, load with restarts of upstreams, then collect the evidence."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from bench.certificates import make_certificates
from bench.usage import MB, watch_peak
from neurolink_mitm.sandbox import Script
from soak.connect_proxy import AUTHORITY, HOST
from soak.evidence import (
    Evidence,
    Level,
    answered_by,
    attempt_rows,
    connects_of,
    endings_of,
    ledger_of,
    request_rows,
    strays_at,
    usages_of,
)
from soak.fault_scripts import faulty, refused
from soak.load import DEADLINE, Load
from soak.processes import Proxy, Tunnels, Upstream, proxy, upstreams, workplace

KINDS = ("oauth", "oauth", "api_key", "api_key", "api_key")
TUNNELLED = 3
"""The accounts that are reached through an HTTP proxy: the first ones."""
WARM_UP = 30.0
"""Seconds in which memory grows to its level, an outage of all accounts included."""
_QUIET = 6.0
"""Seconds in which the last connections close."""
_AWAY = 2.0
"""Seconds between the end of an upstream and its start."""
_STOP_SECONDS = 10.0
_END = DEADLINE + _QUIET + 2
"""Seconds that the end takes at most, if a request hangs."""
LEAST = 105.0
"""Seconds of the shortest soak."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The options of a soak. `seconds` is its whole length, at most."""

    seconds: float
    clients: int
    seed: int


@dataclass(frozen=True)
class Restart:
    """A restart of upstreams with a new script, at the share `at` of the time."""

    at: float
    accounts: Sequence[Upstream]
    kill: bool = False
    script: Callable[[str], Script] = faulty


@dataclass(frozen=True)
class Course:
    """The evidence of a soak, and the proxy's highest memory."""

    evidence: Evidence
    peak_rss_mb: float
    load_seconds: float


def soak(plan: Plan, say: Say) -> Course:
    """Run a soak. Raises StartError if a process does not start."""
    end = time.monotonic() + plan.seconds
    with workplace() as home:
        certificates = make_certificates(home, HOST, AUTHORITY.partition(":")[0])
        with upstreams(KINDS, TUNNELLED, certificates.server, home) as (accounts, tunnels):
            for account in accounts:
                account.start(faulty(_seed(plan, account)))
            with proxy(accounts, tunnels, certificates.authority, home / "proxy") as started:
                course = _course(plan, started, accounts, tunnels, end - _END, say)
                return asyncio.run(course)


async def _course(
    plan: Plan,
    started: Proxy,
    accounts: Sequence[Upstream],
    tunnels: Tunnels,
    end: float,
    say: Say,
) -> Course:
    load = Load(started.port, plan.clients, plan.seed)
    await load.ask_once()
    at_start = await _quiet_level(started.pid)
    say(f"warming up for {WARM_UP:.0f} s, an outage of all accounts included")
    await _run(plan, load, time.monotonic() + WARM_UP, Restart(0.4, accounts))
    warmed_up = await _quiet_level(started.pid)
    began = time.monotonic()
    say(f"{plan.clients} clients for {end - began:.0f} s")
    async with watch_peak(started.pid) as peak:
        await _run(
            plan,
            load,
            end,
            Restart(0.1, accounts[1:2], kill=True),
            Restart(0.35, accounts),
            Restart(0.55, accounts[-1:], script=refused),
        )
    load_seconds = time.monotonic() - began
    at_end = await _quiet_level(started.pid)
    open_at_end = _open_files(started.pid)
    ended = await asyncio.to_thread(_stop, started.pid)
    evidence = Evidence(
        results=load.results,
        requests=request_rows(started),
        attempts=attempt_rows(started),
        ledgers={account.name: ledger_of(account) for account in accounts},
        answered=set().union(*map(answered_by, accounts)),
        strays={account.name: strays_at(account) for account in accounts},
        connects=connects_of(tunnels),
        endings=endings_of(accounts),
        usages=usages_of(accounts),
        at_start=at_start,
        warmed_up=warmed_up,
        at_end=at_end,
        open_at_end=open_at_end,
        output=started.output.read_text(errors="replace"),
        ended=ended,
    )
    return Course(evidence, peak.mb, load_seconds)


async def _run(plan: Plan, load: Load, end: float, *restarts: Restart) -> None:
    """Run the load until `end` (monotonic seconds), with restarts of upstreams."""
    began = time.monotonic()

    async def restart_upstreams() -> None:
        for restart in restarts:
            await asyncio.sleep(began + restart.at * (end - began) - time.monotonic())
            await _restart(plan, restart)

    await asyncio.gather(load.ask_until(end), restart_upstreams())


async def _restart(plan: Plan, restart: Restart) -> None:
    accounts = restart.accounts
    await asyncio.gather(*(asyncio.to_thread(a.end, kill=restart.kill) for a in accounts))
    await asyncio.sleep(_AWAY)
    scripts = [restart.script(_seed(plan, a)) for a in accounts]
    await asyncio.gather(*map(asyncio.to_thread, [a.start for a in accounts], scripts))


def _seed(plan: Plan, account: Upstream) -> str:
    return f"{plan.seed} {account.name} start {account.starts}"


def _open_files(pid: int) -> list[str]:
    process = psutil.Process(pid)
    connections = [f"{c.laddr} {c.raddr} {c.status}" for c in process.net_connections()]
    return [*connections, *(file.path for file in process.open_files())]


async def _quiet_level(pid: int) -> Level:
    """Return the proxy's memory and open files once all connections are closed."""
    await asyncio.sleep(_QUIET)
    process = psutil.Process(pid)
    return Level(process.memory_info().rss / MB, process.num_fds() - _logs(process))


def _logs(process: psutil.Process) -> int:
    """Count the open logs, which are opened with their first row."""
    return len({file.path for file in process.open_files() if file.path.endswith(".jsonl")})


def _stop(pid: int) -> str:
    """Stop a process by SIGTERM; return its exit code as text."""
    process = psutil.Process(pid)
    if process.status() == psutil.STATUS_ZOMBIE:
        return f"it had ended before, with exit code {process.wait()}"
    process.terminate()
    try:
        return f"exit code {process.wait(_STOP_SECONDS)}"
    except psutil.TimeoutExpired:
        return f"it did not end in {_STOP_SECONDS:.0f} s"
