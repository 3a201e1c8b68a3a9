from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from neurolink_mitm.accounts.order import can_change_places
from neurolink_mitm.adapters.token_store import TokenStoreError
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.dashboard.page import Context, Page, Part, View
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views import pool
from neurolink_mitm.dashboard.views.account import refusals_of, source_of
from neurolink_mitm.records.audit import changes

CHANGES = 12
"""Rows of the audit log that are shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """An account in the table. `up` and `down`: whether it can change places with its neighbour."""

    row: pool.Row
    source: str
    expires_at: float | None
    refreshable: bool
    primary: bool
    up: bool
    down: bool


def accounts(view: View) -> Context:
    """Return the table: live, so without mail addresses."""
    site, now = view.site, seconds(view.status["now"])
    in_use = {each.key: each for each in site.on_loop(lambda: site.runtime.pool.accounts)}
    reports = [each for each in view.status["stats"]["accounts"] if each["key"] in in_use]
    up, down = _movable([in_use[each["key"]] for each in reports], site)
    return {
        "lines": [
            _line(in_use[each["key"]], pool.row_of(each, {}, now), site, up, down)
            for each in reports
        ],
        "passthrough": site.runtime.passthrough,
        "serves_home": site.serves_home,
    }


def _movable(accounts: list[Account], site: Site) -> tuple[set[str], set[str]]:
    """Return the keys of accounts that can go up, and down."""
    primary = site.config.routing.primary_account
    pairs = [p for p in pairwise(accounts) if site.serves_home and can_change_places(*p, primary)]
    return {second.key for _, second in pairs}, {first.key for first, _ in pairs}


def _line(account: Account, row: pool.Row, site: Site, up: set[str], down: set[str]) -> Line:
    return Line(
        row,
        source_of(account, site),
        account.expires_at,
        account.refreshable,
        account.label == site.config.routing.primary_account,
        account.key in up,
        account.key in down,
    )


def account(view: View) -> Context:
    """Return the account that the query names, and what can be done with it; nothing without one."""
    site, key = view.site, view.query.get("account")
    named = next(
        (each for each in site.runtime.pool.accounts if key in (each.key, each.label)), None
    )
    if named is None:
        return {"account": None, "gone": key}
    report = next((e for e in view.status["stats"]["accounts"] if e["key"] == named.key), None)
    entry, fault = _entry(site, named)
    shown = view.query.get("mail") == "show"
    return {
        "account": named,
        "gone": None,
        "row": pool.row_of(report, {}, seconds(view.status["now"])) if report else None,
        "source": source_of(named, site),
        "serves_home": site.serves_home,
        "primary": named.label == site.config.routing.primary_account,
        "organization": entry and entry.organization_name,
        "plan": entry and entry.plan,
        "has_mail": bool(named.email),
        "mail": named.email if shown else None,
        "fault": fault,
        "not_offered": refusals_of(named, site),
    }


def _entry(site: Site, named: Account) -> tuple[StoredAccount | None, str | None]:
    """Return the stored entry of an account, or why the store can't be read."""
    entries, fault = _stored(site)
    return next((each for each in entries if each.label == named.label), None), fault


def _stored(site: Site) -> tuple[tuple[StoredAccount, ...], str | None]:
    if not site.serves_home:
        return (), None
    try:
        return site.store.read().stored, None
    except TokenStoreError as e:
        return (), redact(str(e))


def add_account(view: View) -> Context:
    """Return the logins that this session has begun, and entries of the store that serve nothing."""
    site = view.site
    entries, fault = _stored(site)
    in_use = {each.label for each in site.runtime.pool.accounts}
    return {
        "logins": site.logins.of(site.visitor),
        "second": [each.label for each in entries if each.label not in in_use],
        "fault": fault,
        "passthrough": site.runtime.passthrough,
        "serves_home": site.serves_home,
        "first": not in_use,
    }


def recent_changes(view: View) -> Context:
    """Return the latest rows of the audit log, the newest first."""
    rows = changes(view.site.home.logs, CHANGES)
    return {"changes": [{**row, "values": [*_values(row)]} for row in rows[::-1]]}


def _values(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the value before and after, in words."""
    yield from (_words(row.get(name)) for name in ("before", "after"))


def _words(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"until", "reason"} and not value["until"]:
        value = {"until": "it is resumed", "reason": value["reason"]}
    if isinstance(value, dict):
        pairs = ((name, each) for name, each in value.items() if each not in (None, "", [], {}))
        return ", ".join(f"{name} {_words(each)}" for name, each in pairs) or "–"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "–"
    return "–" if value in (None, "") else str(value)


PAGE = Page(
    "accounts",
    "Accounts",
    (
        Part("accounts", accounts, live=True),
        Part("add-account", add_account),
        Part("changes", recent_changes),
        Part("account", account),
    ),
    styles=("accounts.css",),
    scripts=("accounts.js",),
)
