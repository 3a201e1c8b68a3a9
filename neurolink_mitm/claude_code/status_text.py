"""The text of Claude Code's status line. Imports nothing that takes time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from neurolink_mitm.core.logs.reset_times import clock_time, countdown
from neurolink_mitm.core.request.endpoints import MESSAGES, parts

Json = Mapping[str, Any]

NOT_RUNNING = "neurolink: not running"
PASSTHROUGH = "passthrough"
NOT_FOUND = 404
DOT = " · "
LONGEST = 600.0
"""Seconds of a cooldown at most: the cap of `core/pool/cooldown.py`, which is slow to import."""
LONGEST_WINDOW = 8 * 86_400.0
"""Seconds to a reset at most: that of `core/pool/windows.py`, likewise."""
MOST = 3
"""Cooldowns that are shown at most."""
COMMON = ("5h", "7d")
"""The windows of all models."""
REJECTED = "rejected"
HALF = 0.5
"""Share from which a window of one model is shown."""


class Cooling(NamedTuple):
    """An account that cools for `seconds` more."""

    label: str
    seconds: float


class Session(NamedTuple):
    """The session of Claude Code that the line is for; None is unknown."""

    model: str | None = None
    id: str | None = None


def line(report: Json, session: Session, now: float, proxies: int = 1) -> str:
    """Return the line of a report of `/status?explain`, for `session`.

    `proxies` is the number of running proxies of this home.
    """
    accounts: list[Json] = report["stats"]["accounts"]
    now, model = _time(report["now"]) if "now" in report else now, session.model
    in_use = [a for a in accounts if _serves(a)]
    cooling = [Cooling(a["label"], s) for a in in_use if (s := _seconds(a, model, now)) > 0]
    resting = {each.label for each in cooling}
    route: Json = report.get("route") or {}
    out = {each["label"] for each in report.get("explain", ()) if not each["usable"]}
    ready = [a for a in in_use if a["label"] not in resting | out]
    other = None if ready or report["strategy"] == PASSTHROUGH else _instead(route)
    notes = [
        other or _head(report, ready, cooling, session, now),
        *(_dry(report, model, now) if ready else ()),
        *_held(report, session),
        *_cooling(cooling if ready or (other and route.get("next")) else []),
    ]
    notes += ["configuration has errors"] if report["config"]["errors"] else []
    notes += [f"{proxies} proxies run"] if proxies > 1 else []
    return DOT.join(notes)


def _instead(route: Json) -> str | None:
    """Return the fallback that serves a model without an account; or that the model is not served."""
    if route.get("status") == NOT_FOUND:
        return f"neurolink: {route['asked']} is not served here"
    return f"neurolink {route['next']}" if route.get("next") else None


def _head(
    report: Json, ready: list[Json], cooling: list[Cooling], session: Session, now: float
) -> str:
    if report["strategy"] == PASSTHROUGH:
        return "neurolink passthrough"
    if not report["stats"]["accounts"]:
        return "neurolink: no account"
    if not ready:
        return f"neurolink: {_nobody(cooling, now)}"
    own = [each["account"] for each in _requests(report, session) if each["account"]]
    # the session's, else the one used last, else the first
    account = max(ready, key=lambda a: (a["label"] in own, a["lastAttemptAt"] or ""))
    windows = (account["quota"] or {}).get("windows") or {}
    return DOT.join((f"neurolink {account['label']}", *_windows(windows, session.model, now)))


def _nobody(cooling: list[Cooling], now: float) -> str:
    if not cooling:
        return "no account serves: neurolink proxy status"
    first = min(cooling, key=lambda each: each.seconds)
    left = countdown(first.seconds)
    back = (
        f"in {left}"
        if first.seconds < 60
        else f"{clock_time(now + first.seconds, now)} (in {left})"
    )
    return f"all accounts cooling, {first.label} back {back}"


def _windows(windows: Json, model: str | None, now: float) -> Iterable[str]:
    """Yield what is used of the windows of all models, and of those of `model` that are used by half.

    The tightest one, which is used up first or is used most, says when, and when it resets.
    """
    used = {name: part for name, each in windows.items() if (part := _share(each)) is not None}
    concerned = {
        name: part
        for name, part in used.items()
        if name in COMMON or (part >= HALF and _counts_for(windows[name], model))
    }
    ends = {name: _out(windows[name], now) or math.inf for name in concerned}
    tightest = min(concerned, key=lambda n: (concerned[n] < 1, ends[n], -used[n]), default=None)
    for name in sorted(concerned, key=lambda name: (name not in COMMON, name)):
        end = _end(windows[name], now) if name == tightest else ""
        yield f"{name} {share(used[name])}{end}"


def _share(window: Json) -> float | None:
    """Return the share that is used, None where it is unknown."""
    used: float | None = window["used"]
    return 1.0 if used is None and window["status"] == REJECTED else used


def _counts_for(window: Json, model: str | None) -> bool:
    return model is not None and any(fnmatchcase(model, each) for each in window.get("models", ()))


def _out(window: Json, now: float) -> float | None:
    """Return when a window is used up at the pace of the last hour, None if it is not."""
    out = window.get("runsOutAt")
    at = _time(out) if out else now
    return at if at > now else None


def _end(window: Json, now: float) -> str:
    """Return ` out 16:40 resets 18:17 (in 2h5m)`, as far as it is known."""
    out = _out(window, now)
    text = f" out {clock_time(out, now)}" if out else ""
    if not window.get("reset"):
        return text
    reset = _time(window["reset"])
    return f"{text} resets {clock_time(reset, now)} (in {countdown(reset - now)})"


def _dry(report: Json, model: str | None, now: float) -> Iterable[str]:
    """Yield when all of several accounts will be used up, for this model."""
    forecast = report["stats"].get("forecast")
    if not forecast or len(report["stats"]["accounts"]) < 2:
        return
    families = (forecast.get("models") or {}).items()
    concerned = [forecast, *(each for name, each in families if model and fnmatchcase(model, name))]
    starts = [_time(each["dryFrom"]) for each in concerned if each["dryFrom"]]
    if starts and min(starts) > now:
        yield f"pool dry {clock_time(min(starts), now)}"


def _held(report: Json, session: Session) -> Iterable[str]:
    if any(each["state"] == "held" for each in _requests(report, session)):
        yield "this session is held"
    elif held := report.get("requestsHeld"):
        yield f"{held} held"


def _requests(report: Json, session: Session) -> list[Json]:
    """Return the requests in flight of the session."""
    requests = report.get("requests") or ()
    return [each for each in requests if session.id and each["session"] == session.id]


def _serves(account: Json) -> bool:
    """Return whether an account is in use, cooling or not: `reason` may be a cooldown's."""
    reason = account["reason"] or ""
    return not reason.startswith(("disabled", "needs login", "paused")) and reason != "not enabled"


def _seconds(account: Json, model: str | None, now: float) -> float:
    """Return the seconds that an account still cools for `model`, or for any; 0 if it does not."""
    ends = [
        _time(state.get("recoversAt") or state["until"])
        for scope, state in account["cooldowns"].items()
        if state["cooling"] and _concerns(scope, state, model)
    ]
    return max((end - now for end in ends), default=0.0)


def _concerns(scope: str, state: Json, model: str | None) -> bool:
    """Return whether a cooldown concerns messages: counting tokens, files and batches have their own."""
    endpoint, models = parts(scope)
    if state.get("whole"):
        return True
    return endpoint == MESSAGES and (models == "*" or model is None or fnmatchcase(model, models))


def _time(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def saved_line(quotas: Json, cooldowns: Json, model: str | None, now: float) -> str:
    """Return the line of a proxy that does not answer, from its persisted quotas and cooldowns by account key."""
    cooling = []
    for key, state in cooldowns.items():
        scopes = [c for scope, c in state["scopes"].items() if _concerns(scope, c, model)]
        if (seconds := max((_saved_seconds(each, now) for each in scopes), default=0.0)) > 0:
            cooling.append(Cooling(_label(key), seconds))
    resting = {each.label for each in cooling}
    latest = sorted(quotas.items(), key=lambda item: item[1]["seen_at"], reverse=True)
    shown = next(((key, quota) for key, quota in latest if _label(key) not in resting), None)
    head = ["neurolink (slow)"]
    if shown:
        key, quota = shown
        head = [f"neurolink (slow) {_label(key)}"]
        for name in ("5h", "7d"):
            window = quota.get("windows", {}).get(name) or {}
            used = window.get("utilization")
            if used is not None and (window.get("reset") or now + 1) > now:
                head.append(f"{name} {share(used)}")
    return DOT.join((*head, *_cooling(cooling)))


def _saved_seconds(cooldown: Json, now: float) -> float:
    """Return the seconds to an account's recovery, within bounds, whatever clock wrote it; 0 if it does not cool."""
    left: float = cooldown["until"] - now
    if left <= 0:
        return 0.0
    reset: float = (cooldown.get("resets_at") or 0.0) - now
    return max(min(left, LONGEST), reset if reset < LONGEST_WINDOW else 0.0)


def _label(key: str) -> str:
    return key.removeprefix("anthropic:")


def _cooling(cooling: list[Cooling]) -> Iterable[str]:
    if cooling:
        named = ", ".join(f"{each.label} {countdown(each.seconds)}" for each in cooling[:MOST])
        more = f" +{len(cooling) - MOST}" if len(cooling) > MOST else ""
        yield f"cooling: {named}{more}"


def share(used: float) -> str:
    return f"{min(max(used, 0.0), 99.99):.0%}"
