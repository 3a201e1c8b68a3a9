"""What the keys of `neurolink top` do to an account; each returns the line that says what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurolink_mitm.accounts import pauses
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import StateFile
from neurolink_mitm.cli.proxy.reset import ResetError, reset_running
from neurolink_mitm.cli.top.state import Account, Action, Pause, Reset, Resume
from neurolink_mitm.cli.ui.running import choose
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.core.logs.reset_times import reset_time

Rows = Sequence[dict[str, Any]]


def begun(action: Action) -> str:
    """Return what is shown until `done` returns."""
    match action:
        case Pause(account):
            return f"pausing {account.label!r} …"
        case Resume(account):
            return f"resuming {account.label!r} …"
        case Reset(account):
            return f"resetting {account.label!r} …"
    return ""


def done(action: Action, home: Home, port: int | None, now: float, rows: Rows) -> str:
    """Do it. `rows` are the accounts as last reported. Blocks; raises nothing."""
    audit = Audit(home.logs, Actor.TOP)
    try:
        match action:
            case Pause(account, seconds):
                return _pause(
                    home, audit, account, None if seconds is None else now + seconds, now, rows
                )
            case Resume(account):
                ended = pauses.resume(home, audit, account.key, now)
                return (
                    f"resumed {account.label!r}" if ended else f"{account.label!r} was not paused"
                )
            case Reset(account):
                return _reset(home, audit, port, account)
    except ResetError as e:
        return f"not reset: {e}"
    except (OSError, ValueError) as e:
        return f"failed: {_reason(e)}"
    return ""


def _pause(
    home: Home, audit: Audit, account: Account, until: float | None, now: float, rows: Rows
) -> str:
    pauses.pause(home, audit, account.key, until, now)
    end = "until it is resumed" if until is None else f"until {reset_time(until, now)}"
    rest = [each for each in rows if each["key"] != account.key]
    alone = not any(each["cooling"] or not each["reason"] for each in rest)
    return f"paused {account.label!r} {end}{'; no other account can serve now' if alone else ''}"


def _reset(home: Home, audit: Audit, port: int | None, account: Account) -> str:
    running = StateFile(home.state).running()
    if port is not None:
        running = tuple(each for each in (choose(running, port),) if each)
    if not running:
        return "not reset: the proxy is not running"
    labels = reset_running(running, account.key, home, audit)
    return f"reset {account.label!r}: it is asked again" if labels else "nothing to reset"


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
