"""The ways to a credential: each takes what was asked and returns an account that is not stored yet.

A login in the browser brings its code back to loopback where the settings allow that; else it is pasted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neurolink_mitm.cli.auth.context import ask_hidden, network, progress, say
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.core.auth.credentials import StoredAccount, check_key, check_setup_token
from neurolink_mitm.core.auth.oauth import Tokens, split_pasted
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.settings.values import Config

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.oauth_client import Login, OAuthClient

TRIES = 3
OVER = "start over with: neurolink auth login anthropic"
PATIENCE = 300.0
"""Seconds to wait for a login in the browser."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """The command line of a login."""

    label: str | None
    add: bool
    attended: bool
    browser: bool
    verify: bool
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class NewCredential:
    """The account, labelled as it would be called by itself, and what its owner should know."""

    account: StoredAccount
    note: str | None = None


def by_oauth(asked: LoginOptions, config: Config) -> NewCredential:
    tokens = _tokens(asked, config)
    return NewCredential(tokens.as_login(tokens.email or "account"))


def by_api_key(asked: LoginOptions, config: Config) -> NewCredential:
    from neurolink_mitm.adapters.oauth_client import LoginError

    def take(text: str) -> Secret:
        key = check_key(text)
        if asked.verify:
            _try(key, asked, config)
        return key

    try:
        if asked.attended:
            key = _asked_for("API key (not shown)", take)
        else:
            key = _good(take, _from_environment("ANTHROPIC_API_KEY", "--method api-key"))
    except LoginError as e:
        fail(f"the key was not stored: {redact(str(e))}", FAILED)
    return NewCredential(StoredAccount("api-key", key))


def by_new_api_key(asked: LoginOptions, config: Config) -> NewCredential:
    """A login that is used once, to create a key."""
    from neurolink_mitm.adapters.oauth_client import LoginError

    tokens = _tokens(asked, config)
    try:
        with progress("creating an API key …"):
            key = _client(asked, config).create_api_key(tokens.access_token)
    except LoginError as e:
        fail(redact(str(e)), FAILED)
    # without the ids of the login: key and login are two accounts of the pool
    label = f"{tokens.email}-key" if tokens.email else "api-key"
    name = tokens.organization_name
    return NewCredential(StoredAccount(label, key, email=tokens.email, organization_name=name))


def by_setup_token(asked: LoginOptions, config: Config) -> NewCredential:
    if asked.attended:
        token = _asked_for("Token that `claude setup-token` printed (not shown)", check_setup_token)
    else:
        text = _from_environment("CLAUDE_CODE_OAUTH_TOKEN", "--method setup-token")
        token = _good(check_setup_token, text)
    note = (
        "it was not tried, the first request will tell; and it can't be refreshed: when it ends, run"
        " `claude setup-token` and log in again"
    )
    return NewCredential(StoredAccount("setup-token", token), note)


def by_import(asked: LoginOptions, config: Config) -> NewCredential:
    from neurolink_mitm.claude_code.attach import ImportFailed, read_login

    try:
        login = read_login(os.environ)
    except ImportFailed as e:
        fail(str(e), FAILED)
    note = (
        "Claude Code keeps this login, too, and a refresh by one of two programs can log the other out;"
        " to be safe, log in anew with: neurolink auth login anthropic"
    )
    return NewCredential(login, note)


METHODS: Mapping[str, Callable[[LoginOptions, Config], NewCredential]] = {
    "oauth": by_oauth,
    "api-key": by_api_key,
    "create-api-key": by_new_api_key,
    "setup-token": by_setup_token,
    "import": by_import,
}


def _good(check: Callable[[str], Secret], text: str) -> Secret:
    try:
        return check(text)
    except ValueError as e:
        fail(str(e), USAGE)


def _asked_for(question: str, take: Callable[[str], Secret]) -> Secret:
    """What was mistyped on a terminal gets another try. Raises `LoginError` where none would help."""
    from neurolink_mitm.adapters.oauth_client import LoginError

    for left in reversed(range(TRIES if sys.stdin.isatty() else 1)):
        try:
            return take(ask_hidden(question))
        except LoginError as e:
            if not (e.again and left):
                raise
            _say_again(e, left)
        except ValueError as e:
            if not left:
                fail(str(e), USAGE)
            _say_again(e, left)
    raise AssertionError("the last try ends it")


def _say_again(e: Exception, left: int) -> None:
    more = f"{left} more {'try' if left == 1 else 'tries'}"
    say(f"That did not work: {redact(str(e))} ({more})")


def _from_environment(name: str, method: str) -> str:
    return os.environ.get(name) or fail(f"{method} with --non-interactive needs {name}", USAGE)


def _tokens(asked: LoginOptions, config: Config) -> Tokens:
    """Log in through the browser, or exit with what to do next."""
    from neurolink_mitm.accounts.login_callback import can_be_caught

    client, redirect_uri = _client(asked, config), config.oauth.redirect_uri
    if can_be_caught(redirect_uri) and (asked.browser or not asked.attended):
        return _caught(client, redirect_uri, browser=asked.browser)
    if not asked.attended:
        fail(
            "a code can't be pasted with --non-interactive; use --method api-key with"
            " ANTHROPIC_API_KEY, or --method setup-token with CLAUDE_CODE_OAUTH_TOKEN",
            USAGE,
        )
    login = client.begin()
    _show(login.url, browser=asked.browser)
    return _pasted(client, login)


def _show(url: str, *, browser: bool) -> None:
    opened = browser and _open(url)
    say("Your browser opens this page; log in there:" if opened else "Open this page and log in:")
    say(f"\n  {url}\n")


def _open(url: str) -> bool:
    """Whether a browser was started. One that takes over the terminal is none."""
    import webbrowser

    windows = sys.platform == "darwin" or os.environ.keys() & {
        "BROWSER",
        "DISPLAY",
        "WAYLAND_DISPLAY",
    }
    return bool(windows) and webbrowser.open(url)


def _pasted(client: OAuthClient, login: Login) -> Tokens:
    from neurolink_mitm.adapters.oauth_client import LoginError

    for left in reversed(range(TRIES)):
        try:
            code, state = split_pasted(ask_hidden("Paste the code from that page (not shown)"))
            with progress("logging in …"):
                return client.finish(login, code, state)
        except (LoginError, ValueError) as e:
            said = redact(str(e))
            if isinstance(e, LoginError) and not e.again:
                fail(f"not logged in: {said}", FAILED)
            say(f"That did not work: {said}")
            if left:
                more = f"{left} more {'try' if left == 1 else 'tries'}"
                say(
                    f"Copy the code again, whole; the same page, opened anew, gives a new one ({more})"
                )
    fail(f"not logged in; {OVER}", FAILED)


def _caught(client: OAuthClient, redirect_uri: str, *, browser: bool) -> Tokens:
    from neurolink_mitm.accounts.login_callback import Callback
    from neurolink_mitm.adapters.oauth_client import LoginError

    try:
        callback = Callback(redirect_uri)
    except OSError as e:
        fail(f"can't listen for the login on {redirect_uri}: {e.strerror}; try --no-browser")
    with callback:
        login = client.begin(redirect_uri=callback.uri)
        _show(login.url, browser=browser)
        with progress("waiting for the browser (Ctrl-C ends it) …"):
            code = callback.wait(login.state, PATIENCE)
    if code is None:
        fail(f"not logged in: {callback.refused or 'nothing came from the browser'}")
    try:
        return client.finish(login, code, login.state)
    except LoginError as e:
        fail(f"not logged in: {redact(str(e))}; {OVER}")


def _try(key: Secret, asked: LoginOptions, config: Config) -> None:
    """Raises `LoginError`."""
    own = next((each for each in config.accounts if each.name == asked.label), None)
    url = own.base_url if own and own.base_url else config.default_base_url
    with progress("trying the key …"):
        _client(asked, config).check_api_key(key, url, own.proxy_url if own else None)


def _client(asked: LoginOptions, config: Config) -> OAuthClient:
    from neurolink_mitm.adapters.oauth_client import OAuthClient

    return OAuthClient(config.oauth, network=network(config, asked.config))
