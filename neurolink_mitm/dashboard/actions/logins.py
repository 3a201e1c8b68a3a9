"""Accounts that are added or signed in again in the page: a code or a key is pasted, and stored as a command would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurolink_mitm.accounts.browser_logins import LoginOverError
from neurolink_mitm.accounts.placement import Placement, place, place_again
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.core.auth.credentials import PROVIDER, StoredAccount, check_label
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.dashboard.action import Action, Done, Form, RefusedError, Undo
from neurolink_mitm.dashboard.actions.refusals import refusals
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views.account import SANDBOX, why_not

if TYPE_CHECKING:  # slow to import: only who logs in pays for it
    from neurolink_mitm.adapters.oauth_client import OAuthClient

REFRESH = ("account", "add-account", "changes")


def begin(site: Site, form: Form) -> Done:
    """Begin a login in the browser: of the `account` again, or of a new one that is to be called `label`."""
    again = form.get("account", "").removeprefix(PROVIDER)
    _check_own(site)
    if again:
        _check_again(site, again)
    wish = again or _wish(site, form)
    site.logins.begin(site.visitor, _client(site).begin(), wish, again=bool(again))
    return Done("open the sign-in page, and paste its code here", None, REFRESH)


def _check_again(site: Site, label: str) -> None:
    account = next((each for each in site.runtime.pool.accounts if each.label == label), None)
    if account and (reason := why_not("again", account, site)):
        raise RefusedError(f"{label!r}: {reason}")
    with refusals():
        credentials = site.store.read()
    every = (*credentials.stored, *((credentials.legacy,) if credentials.legacy else ()))
    if label not in [each.label for each in every]:
        raise RefusedError(f"no account {label!r} is stored: add it as a new one")


def _wish(site: Site, form: Form) -> str | None:
    """Return the label for a new account, which is good and free; None for its default."""
    wish = form.get("label", "").strip().removeprefix(PROVIDER)
    if not wish:
        return None
    try:
        check_label(wish)
    except ValueError as e:
        raise RefusedError(f"a label {e}") from e
    with refusals():
        if wish in [each.label for each in site.store.read().stored]:
            raise RefusedError(f"there is an account {wish!r} already: choose another label")
    return wish


def finish(site: Site, form: Form) -> Done:
    """Exchange the pasted `code` of a `login` that this session has begun, and store the account."""
    from neurolink_mitm.accounts.credentials import from_tokens
    from neurolink_mitm.adapters.oauth_client import LoginError

    _check_own(site)
    try:
        with refusals(), site.logins.finishing(site.visitor, form.get("login", "")) as login:
            new = from_tokens(login.tokens(_client(site), form.get("code", ""))).account
            where = _placed(site, new, login.label, again=login.again)
            done = _stored(site, new, where)
    except LoginOverError as e:
        raise RefusedError(str(e)) from e
    except LoginError as e:
        raise RefusedError(redact(str(e))) from e
    return done


def cancel(site: Site, form: Form) -> Done:
    """Give up a login that this session has begun."""
    if not site.logins.drop(site.visitor, form.get("login", "")):
        raise RefusedError("this login is over")
    return Done("nothing was stored", None, REFRESH)


def add_key(site: Site, form: Form) -> Done:
    """Store a pasted API key or long-lived token: as a new account, or as the new key of the `account`."""
    from neurolink_mitm.accounts.credentials import from_pasted, try_key
    from neurolink_mitm.adapters.oauth_client import LoginError

    _check_own(site)
    again = form.get("account", "").removeprefix(PROVIDER)
    if again:
        _check_again(site, again)
    wish = again or _wish(site, form)
    with refusals():
        new = from_pasted(form.get("key", ""))
    try:
        if new.account.type == "api_key" and not form.get("untried"):
            try_key(_client(site), new.account.access_token, wish, site.config)
    except LoginError as e:
        raise RefusedError(redact(str(e))) from e
    with refusals():
        where = _placed(site, new.account, wish, again=bool(again))
        return _stored(site, new.account, where, new.note)


def _placed(site: Site, new: StoredAccount, label: str | None, *, again: bool) -> Placement:
    """Return where the account goes by what is stored now: a login takes its time. Raises `ValueError`."""
    entries = site.store.read().stored
    if again and label:
        return place_again(new, entries, label)
    return place(new, entries, label, add=True)


def _stored(site: Site, new: StoredAccount, where: Placement, note: str | None = None) -> Done:
    from neurolink_mitm.accounts.credentials import shadowed
    from neurolink_mitm.accounts.operations import save_login

    account = save_login(site.store, site.audit, new, where)
    what = "API key" if account.type == "api_key" else "login"
    was = f", until now {where.gone!r}" if where.gone else ""
    text = f"{what} {'renewed' if where.replaces else 'stored'} as {account.label!r}{was}"
    notes = filter(None, (where.note, note, shadowed(account.label, site.config)))
    undo = (
        None
        if where.replaces or where.gone
        else Undo("remove", {"account": PROVIDER + account.label})
    )
    return Done("; ".join((text, *notes)), undo, REFRESH)


def _check_own(site: Site) -> None:
    if not site.serves_home:
        raise RefusedError(f"nothing can be added: {SANDBOX}")


def _client(site: Site) -> OAuthClient:
    from neurolink_mitm.adapters.oauth_client import OAuthClient

    network = site.network() if site.network else Network()
    return OAuthClient(site.config.oauth, network=network)


ACTIONS: tuple[Action, ...] = (
    Action("login-begin", begin),
    Action("login-finish", finish),
    Action("login-cancel", cancel),
    Action("add-key", add_key),
)
