"""The reports `/health` and `/status`. Times are ISO 8601 in UTC; `uptime` is in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from neurolink_mitm import __version__
from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.account_state import AccountState, out_of_use
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Classic
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.event_loop import Lag
from neurolink_mitm.core.status.explain import explain as explain
from neurolink_mitm.core.status.forecast import forecast_report
from neurolink_mitm.core.status.held import held_report
from neurolink_mitm.core.status.in_flight import InFlight, Shown, all_shown
from neurolink_mitm.core.status.listening import Certificate, listen_report
from neurolink_mitm.core.status.readiness import Readiness
from neurolink_mitm.core.status.windows import windows_report


class Counted(Protocol):
    """Counters since the start."""

    attempts: int
    requests: int
    success: int
    errors: int
    rate_limits: int


class TokenRefresher(Protocol):
    """The refresher."""

    @property
    def unwritten(self) -> Mapping[str, str]: ...
    @property
    def clock_skew(self) -> float | None: ...


class Reporting(Protocol):
    """A part with a report of its own: translator, journal, cluster."""

    def report(self) -> Mapping[str, object]: ...


class ReportingIfOn(Protocol):
    """A part that reports only if it is on: telemetry, notices, the dashboard."""

    def report(self) -> Mapping[str, object] | None: ...


class Running(Protocol):
    """The parts of a running proxy that are reported."""

    @property
    def config(self) -> Config: ...
    @property
    def pool(self) -> Pool: ...
    @property
    def totals(self) -> Counted: ...
    @property
    def refresher(self) -> TokenRefresher | None: ...
    @property
    def translator(self) -> Reporting | None: ...
    @property
    def journal(self) -> Reporting: ...
    @property
    def telemetry(self) -> ReportingIfOn | None: ...
    @property
    def notices(self) -> ReportingIfOn | None: ...
    @property
    def dashboard(self) -> ReportingIfOn | None: ...
    @property
    def cluster(self) -> Reporting | None: ...
    @property
    def lag(self) -> Lag: ...
    @property
    def readiness(self) -> Readiness: ...
    @property
    def certificate(self) -> Certificate | None: ...
    @property
    def in_flight(self) -> InFlight: ...
    @property
    def waiting(self) -> WaitingRoom: ...
    @property
    def pid(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def passthrough(self) -> bool: ...
    @property
    def started_at(self) -> float: ...
    @property
    def config_path(self) -> str | None: ...
    @property
    def config_loaded_at(self) -> float: ...
    @property
    def config_errors(self) -> Sequence[str]: ...


def banner(dashboard: str | None) -> dict[str, object]:
    """Return the body of `GET /`; `dashboard` is the address of the pages for the browser."""
    return {
        "name": "neurolink",
        "version": __version__,
        "status": "/status",
        "dashboard": dashboard,
    }


def health(running: Running, now: float) -> dict[str, object]:
    """Return the body of `GET /health`."""
    return {
        "status": "ok",
        "strategy": _strategy(running),
        "uptime": round(now - running.started_at, 1),
        "version": __version__,
    }


def report(running: Running, now: float, shown: Shown = all_shown) -> dict[str, object]:
    """Return the body of `GET /status`, with the requests that are `shown` to the one who asks."""
    return begin_report(running, now, shown)()


def begin_report(running: Running, now: float, shown: Shown) -> Callable[[], dict[str, object]]:
    """Read what only the event loop may read; return what makes the report, in any thread.

    An account takes a fraction of a millisecond, so that hundreds of them would hold up the event loop.
    """
    stats = _stats(running)
    begun = _begun(running, now, shown, stats)
    unwritten = running.refresher.unwritten if running.refresher else {}

    def finish() -> dict[str, object]:
        accounts = running.pool.states_of(running.pool.accounts)
        rows = [
            _account(account, state, now) | {"unwritten": unwritten.get(account.label)}
            for account, state in accounts
        ]
        forecast = forecast_report(running.pool, now)
        return begun | {"stats": stats | {"forecast": forecast, "accounts": rows}}

    return finish


def _begun(
    running: Running, now: float, shown: Shown, stats: dict[str, object]
) -> dict[str, object]:
    """Return the report without the forecast and the accounts."""
    return {
        "status": "running",
        "phase": running.readiness.phase,
        "pid": running.pid,
        "host": running.host,
        "port": running.port,
        "listen": listen_report(
            running.host, running.certificate, running.config.listen.hosts, now
        ),
        "strategy": _strategy(running),
        "now": iso(now),
        "uptime": round(now - running.started_at, 1),
        "version": __version__,
        "stats": stats,
        **running.in_flight.report(now, shown, running.waiting),
        "held": held_report(running.waiting, running.pool, now, shown),
        "clockSkew": _clock_skew(running.refresher),
        "fallbackChain": [_entry(a, running, now) for a in running.pool.fallbacks if a.model],
        "translator": _translator(running),
        "spend": _spend(running.pool.budget, now),
        "journal": running.journal.report(),
        "telemetry": running.telemetry.report() if running.telemetry else None,
        "notices": running.notices.report() if running.notices else None,
        "dashboard": running.dashboard.report() if running.dashboard else None,
        "cluster": running.cluster.report() if running.cluster else None,
        "loop": running.lag.report(),
        "config": {
            "path": running.config_path,
            "loadedAt": iso(running.config_loaded_at or running.started_at),
            "errors": list(running.config_errors),
        },
    }


def _clock_skew(refresher: TokenRefresher | None) -> float | None:
    skew = refresher.clock_skew if refresher else None
    return None if skew is None else round(skew, 1)


def _strategy(running: Running) -> str:
    return "passthrough" if running.passthrough else running.pool.strategy


def _stats(running: Running) -> dict[str, object]:
    totals = running.totals
    return {
        "totalAttempts": totals.attempts,
        "totalRequests": totals.requests,
        "totalSuccess": totals.success,
        "totalErrors": totals.errors,
        "totalRateLimits": totals.rate_limits,
        "primaryAccount": _primary(running),
    }


def _primary(running: Running) -> dict[str, object]:
    wanted = running.config.routing.primary_account
    first = running.pool.accounts[0] if running.pool.accounts else None
    found = first is not None and wanted in (first.label, first.key)
    return {
        "configured": wanted,
        "key": first.key if first else None,
        "label": first.label if first else None,
        "source": "configured" if found else "fallback",
    }


def _account(account: Account, state: AccountState, now: float) -> dict[str, object]:
    tally, cooldown = state.tally, state.longest_cooldown(now)
    out = out_of_use(account, now)  # what ends by itself is not what such an account waits for
    cooling, recovery = not out and cooldown.cooling(now), cooldown.recovery(now)
    return {
        "label": account.label,
        "key": account.key,
        "type": account.type,
        "attempts": tally.attempts,
        "success": tally.success,
        "errors": tally.errors,
        "rateLimits": tally.rate_limits,
        "backoffLevel": cooldown.level,
        "cooling": cooling,
        "coolingUntil": iso(cooldown.until) if cooling else None,
        "recoversAt": iso(recovery) if recovery > now and not out else None,
        "reason": out or (cooldown.reason if cooling else None),
        "paused": _pause(account, now),
        "lastAttemptAt": _iso(tally.last_attempt_at),
        "lastErrorAt": _iso(tally.last_error_at),
        "lastError": tally.last_error,
        "inFlight": state.in_flight,
        "cooldowns": {scope: _cooldown(c, now) for scope, c in tuple(state.cooldowns.items())},
        "quota": _quota(state, now),
    }


def _pause(account: Account, now: float) -> dict[str, object] | None:
    pause = account.paused
    if pause is None or pause.over(now):
        return None
    return {"until": _iso(pause.until), "reason": pause.reason or None}


def _translator(running: Running) -> Mapping[str, object] | None:
    """Return the translator's report; None while none is needed."""
    report = running.translator.report() if running.translator else None
    return report if report and report["state"] != "stopped" else None


def _entry(entry: Account, running: Running, now: float) -> dict[str, object]:
    state = running.pool.account_state(entry.key)
    skip = running.pool.ineligible_fallbacks((entry.key,), Requirements(), now).get(entry.key)
    return {
        "provider": entry.provider,
        "model": entry.model,
        "usable": skip is None,
        "reason": skip.reason if skip else None,
        "until": _iso(skip.until) if skip else None,
        "attempts": state.tally.attempts,
        "success": state.tally.success,
        "errors": state.tally.errors,
        "lastError": state.tally.last_error,
    }


def _spend(budget: Budget, now: float) -> dict[str, object]:
    spent = budget.spent_today(now)
    return {
        "payPerUse": budget.pay_per_use,
        "todayUsd": round(spent, 6),
        "capUsd": budget.cap,
        "leftUsd": None if budget.cap is None else round(max(0.0, budget.cap - spent), 6),
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def _cooldown(state: Cooldown, now: float) -> dict[str, object]:
    return {
        "until": iso(state.until),
        "recoversAt": iso(state.recovery(now)),
        "cooling": state.cooling(now),
        "level": state.level,
        "reason": state.reason,
        "whole": state.whole,
    }


def _quota(state: AccountState, now: float) -> dict[str, object] | None:
    quota = state.quota
    if quota is None:
        return None
    classic = {name: _classic(limit) for name, limit in quota.classic.items()}
    return {
        **windows_report(quota, now, state.pace),
        "status": quota.status or None,
        "representativeClaim": quota.claim or None,
        "overageStatus": quota.overage or None,
        "limits": classic,
        "seenAt": iso(quota.seen_at),
    }


def _classic(limit: Classic) -> dict[str, object]:
    return {"limit": limit.limit, "remaining": limit.remaining, "reset": _iso(limit.reset)}
