"""The pool as the page Now shows it: the state of each account in words, its windows, and who serves next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.core.auth.credentials import NEEDS_LOGIN
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.windows import COMMON, REJECTED
from neurolink_mitm.core.request.endpoints import described
from neurolink_mitm.core.status.explain import preview_passthrough, preview_route
from neurolink_mitm.dashboard.page import Context, View
from neurolink_mitm.dashboard.site import Report, Site
from neurolink_mitm.dashboard.views.account import why_not

FEW = 12
"""Accounts that are shown in full whatever their state; of more, ready ones are folded."""
NOT_ASKED = "not asked: "
"""How `explain` begins where no account is a matter, as in passthrough mode."""
NEARLY = 0.8
"""Share of a window from which on it is marked."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of an account: a word with the kind of its badge, why, and what ends it."""

    word: str
    kind: str
    reason: str = ""
    tried_at: str | None = None
    """When the account is asked again."""
    until: str | None = None
    """When it recovers by itself."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window: `name` is upstream's, `models` are empty where it counts for all."""

    name: str
    models: str
    used: float | None
    kind: str
    reset: str | None
    runs_out: str | None
    used_up: bool


@dataclass(frozen=True, slots=True)
class Row:
    """An account with what is shown of it. `why` says why the next request uses it, or does not."""

    account: Report
    state: State
    windows: Sequence[Window]
    limited: Sequence[tuple[str, str]]
    """What it does not serve while it serves the rest, and until when."""
    next: bool
    why: str
    actions: Sequence[str]
    """Those that are offered."""

    @property
    def used(self) -> float | None:
        """The share of the window that is used most."""
        shares = (window.used for window in self.windows)
        return max((share for share in shares if share is not None), default=None)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to see: it is ready, and nobody uses it."""
        windows = any(window.kind or window.runs_out for window in self.windows)
        busy = self.next or self.account["inFlight"] or self.limited or windows
        return self.state.kind == "good" and not busy


def pool(view: View) -> Context:
    """Return what the part shows."""
    report, preview = view.status, view.once(_preview)
    now = seconds(report["now"])
    explained = {row["key"]: row for row in preview["explain"]}
    accounts = {each.key: each for each in view.site.runtime.pool.accounts}
    rows = [
        row_of(each, explained.get(each["key"], {}), now, _actions(each, accounts, view.site))
        for each in report["stats"]["accounts"]
    ]
    folds = len(rows) > FEW
    return {
        "rows": [row for row in rows if not (folds and row.quiet)],
        "folded": [row for row in rows if folds and row.quiet],
        "fallbacks": [_fallback(each, explained) for each in report["fallbackChain"]],
        "translator": report["translator"],
        "passthrough": view.site.runtime.passthrough,
    }


def outlook(view: View) -> Context:
    """Return what comes: who serves the next request, how long the pool lasts, what is paid today."""
    report, preview = view.status, view.once(_preview)
    return {
        "any": bool(report["stats"]["accounts"] or report["fallbackChain"]),
        "route": preview["route"],
        "next": next((row for row in preview["explain"] if row["next"]), None),
        "forecast": forecast_of(report["stats"]["forecast"], seconds(report["now"])),
        "spend": report["spend"],
    }


def pool_mark(view: View) -> object:
    """Return what `pool` is made from, in short: counters, and until when time changes nothing.

    Of hundreds of accounts `pool` takes tens of milliseconds, this one.
    """
    runtime, now = view.site.runtime, view.site.now()
    states = runtime.pool.states_of(runtime.pool.accounts)
    return (
        runtime.config,
        runtime.pool.accounts,
        runtime.pool.changes,
        runtime.passthrough,
        runtime.totals.attempts,
        runtime.translator and runtime.translator.endpoint,
        runtime.pool.budget.spent_today(now),
        [(s.in_flight, s.tally.success, s.tally.errors, s.quota) for _, s in states],
        min(
            (
                s.changes_at(account, now)
                for account, s in states
                if s.cooldowns or s.probes or account.paused
            ),
            default=0,
        ),
    )


def _preview(view: View) -> Report:
    """Return what would happen to Claude Code's next request, for any model."""
    site = view.site
    runtime, now = site.runtime, site.now()
    if runtime.passthrough:
        return site.on_loop(lambda: preview_passthrough(runtime.pool, None))
    asked = Requirements(claude_code=True)
    return site.on_loop(lambda: preview_route(runtime.pool, site.config.routing, asked, now))


def _actions(reported: Report, accounts: Mapping[str, Account], site: Site) -> Iterator[str]:
    """Yield what can be done with an account, from this page."""
    account = accounts.get(reported["key"])
    if account is None:  # a reload has taken it away since
        return
    cooling = any(each["cooling"] for each in reported["cooldowns"].values())
    wanted = ("resume" if reported["paused"] else "pause", *(("reset",) if cooling else ()))
    yield from (each for each in wanted if why_not(each, account, site) is None)


def row_of(account: Report, explained: Report, now: float, actions: Iterable[str] = ()) -> Row:
    """Return what is shown of an account in `/status`, with its row of `explain`."""
    return Row(
        account,
        state_of(account, explained),
        tuple(_windows(account, now)),
        tuple(_limited(account)),
        bool(explained.get("next")),
        str(explained.get("reason") or ""),
        tuple(actions),
    )


def state_of(account: Report, explained: Report) -> State:
    """Return the state of an account in `/status`, with its row of `explain`."""
    reason = str(account["reason"] or "")
    pause = account["paused"]
    if pause:
        return State("paused", "warn", pause["reason"] or "", until=pause["until"])
    if account["cooling"] and _cools_whole(account):
        tried_at, until = account["coolingUntil"], account["recoversAt"]
        later = until if until and until > tried_at else None
        windows = _reported(account)
        used_up = any(windows[name]["status"] == REJECTED for name in COMMON if name in windows)
        word, kind = ("used up", "bad") if used_up else ("cooling", "warn")
        return State(word, kind, reason, tried_at, later)
    if reason and not account["cooling"]:
        # of `disabled: needs login: why`, the second says what to do
        needs_login = reason.startswith(f"disabled: {NEEDS_LOGIN}")
        word, _, rest = reason.removeprefix("disabled: " if needs_login else "").partition(": ")
        return State(word, "idle" if word == "not enabled" else "bad", rest)
    if explained and not explained["usable"]:
        if explained["reason"].startswith(NOT_ASKED):
            return State("not asked", "idle", explained["reason"].removeprefix(NOT_ASKED))
        return State("waiting", "warn", explained["reason"], until=explained["until"])
    return State("ready", "good")


def _cools_whole(account: Report) -> bool:
    """Return whether no model is served, not only some."""
    cooldowns: Mapping[str, Any] = account["cooldowns"]
    return any(
        each["cooling"] and (each["whole"] or scope == WHOLE_ACCOUNT)
        for scope, each in cooldowns.items()
    )


def _limited(account: Report) -> Iterator[tuple[str, str]]:
    """Yield what is cooling beside an account that serves the rest, and until when."""
    for scope, cooldown in account["cooldowns"].items():
        if scope != WHOLE_ACCOUNT and cooldown["cooling"]:
            yield described(scope).replace("*", ""), cooldown["recoversAt"] or cooldown["until"]


def _reported(account: Report) -> Mapping[str, Any]:
    return (account["quota"] or {}).get("windows") or {}


def _windows(account: Report, now: float) -> Iterator[Window]:
    """Yield the windows of an account, those for all models first."""
    windows = _reported(account)
    for name in sorted(windows, key=lambda name: (name not in COMMON, name)):
        each = windows[name]
        used_up = each["status"] == REJECTED or (each["used"] or 0) >= 1
        out = None if used_up else rounded(each["runsOutAt"], now)
        nearly = (each["used"] or 0) >= NEARLY
        models = [model.strip("*-").removeprefix("claude-") for model in each["models"]]
        yield Window(
            name,
            ", ".join(filter(None, models)),
            1.0 if used_up and each["used"] is None else each["used"],
            "bad" if used_up else "warn" if nearly else "",
            each["reset"],
            out,
            used_up,
        )


def _fallback(entry: Report, explained: Mapping[str, Report]) -> Report:
    row = explained.get(f"{entry['provider']}/{entry['model']}", {})
    return {**entry, "next": bool(row.get("next"))}


def forecast_of(forecast: Report | None, now: float) -> Report | None:
    """Return the forecast with times that stay for a while; families only where they run out earlier."""
    if forecast is None:
        return None
    first = forecast["dryFrom"]
    models = [
        {"name": name.strip("*-").removeprefix("claude-"), **_dry(each, now)}
        for name, each in forecast["models"].items()
        if each["dryFrom"] and (first is None or each["dryFrom"] < first)
    ]
    return {**_dry(forecast, now), "models": models}


def _dry(forecast: Report, now: float) -> Report:
    first = forecast["dryFrom"]
    return {
        "dry": bool(first) and seconds(first) < now + 60,
        "until": rounded(first, now),
        "back": rounded(forecast["dryTo"], now),
    }


def rounded(moment: str | None, now: float) -> str | None:
    """Return a forecast in steps that are coarser the later it is: it moves with every look, and is no more exact."""
    if moment is None:
        return None
    at = seconds(moment)
    step = 60 if at < now + 3600 else 300 if at < now + 6 * 3600 else 900
    return iso(at // step * step)
