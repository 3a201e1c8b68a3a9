"""What the pages do with accounts: pause, put in order, forget cooldowns, enable, refresh, remove.

The account is named by its key or its label (`account`). An undo names the value that it takes back (`expected`), and
is refused where that was changed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from neurolink_mitm.accounts import pauses, stored
from neurolink_mitm.accounts.operations import refresh_logins, to_refresh
from neurolink_mitm.accounts.order import in_order, moved
from neurolink_mitm.accounts.report import refresh_row
from neurolink_mitm.accounts.resets import cooldowns_row, record_resets
from neurolink_mitm.adapters.mark_file import set_again, with_marks
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.config.edit import set_order, set_primary
from neurolink_mitm.config.editable import NotAllowedError
from neurolink_mitm.config.file import load
from neurolink_mitm.config.proposal import check_size, content_of
from neurolink_mitm.core.auth.credentials import PROVIDER, check_label
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.end_times import end_after, end_at
from neurolink_mitm.core.pool.account_state import out_of_use
from neurolink_mitm.core.pool.accounts import Account, unknown_account
from neurolink_mitm.core.pool.pauses import Pause, pause_reason, utc
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.settings.values import Routing
from neurolink_mitm.dashboard.action import Action, Done, Form, RefusedError, Undo
from neurolink_mitm.dashboard.actions.refusals import MEANWHILE, refusals
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views.account import SANDBOX, why_not

REFRESH = ("account", "add-account", "changes")
"""The parts that show an account and are not live."""


def pause(site: Site, form: Form) -> Done:
    """Pause an account `for` a duration (`2h`), `until` a time with its zone, or until it is resumed."""
    account, now = _account(site, form), site.now()
    _offered("pause", account, site)
    with refusals():
        until, reason = _end(form, now), form.get("reason", "")
        check = _check_pause(form)
        before = pauses.pause(site.home, site.audit, account.key, until, now, reason, check)
    after = pauses.pause_row(Pause(until, pause_reason(reason)))
    end = " until it is resumed" if until is None else f" until {utc(until)}"
    message = f"paused {account.label!r}{end}{_rest(site, account)}"
    return Done(message, _put_back(account.key, before, after), REFRESH)


def resume(site: Site, form: Form) -> Done:
    account = _account(site, form)
    with refusals():
        check = _check_pause(form)
        before = pauses.resume(site.home, site.audit, account.key, site.now(), check)
    if before is None:
        raise RefusedError(f"{account.label!r} is not paused")
    return Done(f"resumed {account.label!r}", _put_back(account.key, before, None), REFRESH)


def _put_back(key: str, before: Pause | None, after: Any) -> Undo:
    fields = {"account": key, "expected": _json(after)}
    if before is None:
        return Undo("resume", fields)
    until = "" if before.until is None else utc(before.until)
    return Undo("pause", {**fields, "until": until, "reason": before.reason})


def _check_pause(form: Form) -> Callable[[Pause | None], None]:
    check = _check(form)
    return lambda before: check(pauses.pause_row(before))


def _end(form: Form, now: float) -> float | None:
    """Return the end of a pause; None for one that lasts until it is resumed. Raises `ValueError`."""
    length, moment = form.get("for", ""), form.get("until", "")
    if length:
        return end_after(length, now)
    if not moment:
        return None
    if "T" not in moment or not moment.endswith("Z"):
        raise ValueError(f"{moment!r:.40} does not name its zone")
    return end_at(moment, now)


def _rest(site: Site, paused: Account) -> str:
    """Return a note where no other account can serve."""
    now = site.now()
    rest = [each for each in site.runtime.pool.accounts if each.key != paused.key]
    return (
        ""
        if any(not out_of_use(each, now) for each in rest)
        else "; no other account can serve now"
    )


def move(site: Site, form: Form) -> Done:
    """Move an account `up` or `down` in the order of use."""
    account, direction = _account(site, form), form.get("direction")
    _offered("order", account, site)
    if direction not in ("up", "down"):
        raise RefusedError("the direction is up or down")
    with refusals():
        _check_size(site)
        routing = _routing(site)
        accounts = in_order(site.runtime.pool.accounts, routing)
        labels = moved(accounts, routing.primary_account, account.label, up=direction == "up")
        before = set_order(site.config_file, labels, site.audit)
        set_again(site.home.cluster_marks, "order", labels)
    return Done(f"moved {account.label!r} {direction}", _put_order_back(before, labels), REFRESH)


def order(site: Site, form: Form) -> Done:
    """Put the accounts in the order of `labels`; an empty list takes the order away."""
    labels = _labels(form)
    _own(site)
    with refusals():
        _check_size(site)
        before = set_order(site.config_file, labels, site.audit, _check(form))
        set_again(site.home.cluster_marks, "order", labels)
    text = (
        f"order of use: {', '.join(labels)}" if labels else "accounts are used as they are listed"
    )
    return Done(text, _put_order_back(before, labels), REFRESH)


def _labels(form: Form) -> list[str]:
    try:
        labels = [*map(check_label, msgspec.json.decode(form.get("labels", ""), type=list[str]))]
    except (ValueError, *UNREADABLE) as e:
        raise RefusedError("the order is no list of labels") from e
    if len(set(labels)) < len(labels):
        raise RefusedError("an account is named twice")
    return labels


def _put_order_back(before: Sequence[str], after: Sequence[str]) -> Undo:
    return Undo("order", {"labels": _json(list(before)), "expected": _json(list(after))})


def _check_size(site: Site) -> None:
    """Raise `ValueError` where the file is too large to be edited beside running requests."""
    try:
        check_size(content_of(site.config_file))
    except NotAllowedError as e:
        raise ValueError(f"{site.config_file}: {e}") from e


def _routing(site: Site) -> Routing:
    """Return what the file says now: the pool may not follow yet. Raises `ConfigError`."""
    config = load(site.config_file, site.runtime.environ, required=False).config
    return with_marks(config, site.home.cluster_marks).routing


def primary(site: Site, form: Form) -> Done:
    """Let an account go first by name; where it is empty, none does."""
    label = None if form.get("account") == "" else _account(site, form).label
    if label:
        _offered("primary", _account(site, form), site)
    with refusals():
        _check_size(site)
        before = set_primary(site.config_file, label, site.audit, _check(form))
        set_again(site.home.cluster_marks, "primary", label)
    text = f"{label!r} goes first" if label else "no account goes first by name now"
    undo = Undo("primary", {"account": before or "", "expected": _json(label)})
    return Done(text, undo, REFRESH)


def reset(site: Site, form: Form) -> Done:
    """Forget the cooldowns of an account, or of another provider's model: it is asked with the next request."""
    wanted, pool = form.get("account", ""), site.runtime.pool

    def forget() -> tuple[list[Account], dict[str, PersistedState]]:
        before = pool.cooldowns()
        accounts = pool.reset_named(wanted)
        site.runtime.state_store.cooldowns(pool.cooldowns())
        return accounts, before

    try:
        accounts, before = site.on_loop(forget)
    except LookupError as e:
        raise RefusedError(str(e.args[0])) from e
    labels = ", ".join(repr(each.label) for each in accounts)
    cooldowns = {each.key: before[each.key] for each in accounts if each.key in before}
    if not cooldowns:
        raise RefusedError(f"{labels} has no cooldown")
    record_resets(site.audit, [each.label for each in accounts], before)
    undo = Undo("cool-again", {"account": wanted, "kept": site.forgotten.keep(cooldowns)})
    return Done(f"forgot the cooldown of {labels}: it is asked again", undo, REFRESH)


def cool_again(site: Site, form: Form) -> Done:
    """Put back the cooldowns that `reset` has forgotten."""
    kept: dict[str, PersistedState] | None = site.forgotten.take(form.get("kept", ""))
    if kept is None:
        raise RefusedError("these cooldowns are gone")
    pool, now = site.runtime.pool, site.now()

    def put_back() -> None:
        for key, state in kept.items():
            pool.cool_again(key, state, now)
        site.runtime.state_store.cooldowns(pool.cooldowns())

    site.on_loop(put_back)
    labels = [key.removeprefix(PROVIDER) for key in kept]
    for label, state in zip(labels, kept.values(), strict=True):
        site.audit.record("cool again", label, None, cooldowns_row(state))
    return Done(f"put back the cooldown of {', '.join(map(repr, labels))}", None, REFRESH)


def enable(site: Site, form: Form) -> Done:
    account = _account(site, form)
    _offered("enable", account, site)
    with refusals():
        before = stored.enable(site.store, site.audit, account.label, _check(form))
    fields = {"account": account.key, "reason": before or "", "expected": _json(None)}
    undo = Undo("disable", fields)
    return Done(f"enabled {account.label!r}", undo if before else None, REFRESH)


def disable(site: Site, form: Form) -> Done:
    """Give an account no requests until it is enabled, or logged in again."""
    account = _account(site, form)
    reason = pause_reason(form.get("reason", "")) or stored.BY_HAND
    _offered("disable", account, site)
    with refusals():
        stored.disable(site.store, site.audit, account.label, reason, site.now(), _check(form))
    message = f"disabled {account.label!r}{_rest(site, account)}"
    undo = Undo("enable", {"account": account.key, "expected": _json(reason)})
    return Done(message, undo, REFRESH)


def remove(site: Site, form: Form) -> Done:
    """Forget a stored account, which may be a second entry of one that is in the pool."""
    label = _bare(form)
    _own(site)
    with refusals():
        store = site.store
        account = stored.stored_account(store.read(), label)
        notes = stored.log_out(site.home, store, site.audit, account, site.now())
    if site.config.routing.primary_account == label:
        notes.append("it is still named as the primary account")
    return Done("; ".join((f"removed {label!r}", *notes)), None, REFRESH)


def refresh(site: Site, form: Form) -> Done:
    """Exchange the refresh token of a login now."""
    account = _account(site, form)
    _offered("refresh", account, site)
    network = site.network() if site.network else Network()
    with refusals():
        logins = to_refresh(site.runtime.pool.accounts, account.label)
        [result] = asyncio.run(refresh_logins(site.store, site.audit, site.config, network, logins))
    row = refresh_row(result)
    if row["trouble"]:
        again = "; sign in again" if row["trouble"] == "invalid grant" else ""
        raise RefusedError(f"not refreshed: {row['message'] or row['trouble']}{again}")
    if not row["written"]:
        raise RefusedError(
            "refreshed, but the new tokens could not be stored and are lost: sign in again"
        )
    ends = f": its token lasts until {row['expiresAt']}" if row["expiresAt"] else ""
    return Done(f"refreshed {account.label!r}{ends}", None, REFRESH)


def _account(site: Site, form: Form) -> Account:
    """Return the account of the pool that the form names."""
    name = form.get("account", "")
    accounts = site.runtime.pool.accounts
    for account in accounts:
        if name in (account.key, account.label):
            return account
    raise RefusedError(unknown_account(name, [each.label for each in accounts]))


def _bare(form: Form) -> str:
    return form.get("account", "").removeprefix(PROVIDER)


def _offered(action: str, account: Account, site: Site) -> None:
    if reason := why_not(action, account, site):
        raise RefusedError(f"{account.label!r}: {reason}")


def _own(site: Site) -> None:
    if not site.serves_home:
        raise RefusedError(SANDBOX)


def _check(form: Form) -> Callable[[Any], None]:
    """Return what refuses to take back a value that was changed meanwhile."""

    def check(before: Any) -> None:
        if "expected" in form and _json(before) != form["expected"]:
            raise RefusedError(MEANWHILE)

    return check


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


ACTIONS: tuple[Action, ...] = (
    Action("pause", pause),
    Action("resume", resume),
    Action("move", move),
    Action("order", order),
    Action("primary", primary),
    Action("reset", reset),
    Action("cool-again", cool_again),
    Action("enable", enable),
    Action("disable", disable),
    Action("remove", remove),
    Action("refresh", refresh),
)
