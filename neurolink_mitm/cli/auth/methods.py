"""The login methods: each takes the options of `auth login` and returns an account that is not stored yet.

A login in the browser brings its code back to loopback where the settings allow that; else the code is pasted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurolink_mitm.accounts.credentials import (
    NewCredential,
    from_key,
    from_new_key,
    from_setup_token,
    from_tokens,
    try_key,
)
from neurolink_mitm.accounts.login_callback import Callback, can_be_caught
from neurolink_mitm.adapters.oauth_client import Login, LoginError, OAuthClient
from neurolink_mitm.claude_code.login import ImportFailed, read_login
from neurolink_mitm.cli.ui.browser import open_browser
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.home import network
from neurolink_mitm.cli.ui.terminal import ask_hidden, progress, say
from neurolink_mitm.core.auth.credentials import check_key, check_setup_token
from neurolink_mitm.core.auth.oauth import Tokens, split_pasted
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.settings.values import Config

TRIES = 3
"""Of a key or a code that is typed or pasted."""
OVER = "start over with: neurolink auth login anthropic"
PATIENCE = 300.0
"""Seconds to wait for a login in the browser."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """The options of `auth login`."""

    label: str | None
    add: bool
    attended: bool
    browser: bool
    verify: bool
    config: Path | None = None


def by_oauth(options: LoginOptions, config: Config) -> NewCredential:
    return from_tokens(_tokens(options, config))


def by_api_key(options: LoginOptions, config: Config) -> NewCredential:
    def take(text: str) -> Secret:
        key = check_key(text)
        if options.verify:
            _try(key, options, config)
        return key

    try:
        if options.attended:
            key = _asked("API key (not shown)", take)
        else:
            key = _good(take, _from_environment("ANTHROPIC_API_KEY", "--method api-key"))
    except LoginError as e:
        fail(f"the key was not stored: {redact(str(e))}", FAILED)
    return from_key(key)


def by_new_api_key(options: LoginOptions, config: Config) -> NewCredential:
    """Log in, and use the login once, to create a key."""
    tokens = _tokens(options, config)
    try:
        with progress("creating an API key …"):
            key = _client(options, config).create_api_key(tokens.access_token)
    except LoginError as e:
        fail(redact(str(e)), FAILED)
    return from_new_key(key, tokens)


def by_setup_token(options: LoginOptions, config: Config) -> NewCredential:
    if options.attended:
        token = _asked("Token that `claude setup-token` printed (not shown)", check_setup_token)
    else:
        text = _from_environment("CLAUDE_CODE_OAUTH_TOKEN", "--method setup-token")
        token = _good(check_setup_token, text)
    return from_setup_token(token)


def by_import(options: LoginOptions, config: Config) -> NewCredential:
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


def _asked(question: str, take: Callable[[str], Secret]) -> Secret:
    """Return what `take` makes of the answer; on a terminal a mistyped one gets another try.

    Raises `LoginError` where no other try would help.
    """
    for left in reversed(range(TRIES if sys.stdin.isatty() else 1)):
        try:
            return take(ask_hidden(question))
        except LoginError as e:
            if not (e.again and left):
                raise
            error: Exception = e
        except ValueError as e:
            if not left:
                fail(str(e), USAGE)
            error = e
        say(f"That did not work: {redact(str(error))} ({_tries(left)})")
    raise AssertionError("the last try ends it")


def _tries(left: int) -> str:
    return f"{left} more {'try' if left == 1 else 'tries'}"


def _from_environment(name: str, method: str) -> str:
    return os.environ.get(name) or fail(f"{method} with --non-interactive needs {name}", USAGE)


def _tokens(options: LoginOptions, config: Config) -> Tokens:
    """Log in through the browser, or exit with what to do next."""
    client, redirect_uri = _client(options, config), config.oauth.redirect_uri
    if can_be_caught(redirect_uri) and (options.browser or not options.attended):
        return _caught(client, redirect_uri, browser=options.browser)
    if not options.attended:
        fail(
            "a code can't be pasted with --non-interactive; use --method api-key with"
            " ANTHROPIC_API_KEY, or --method setup-token with CLAUDE_CODE_OAUTH_TOKEN",
            USAGE,
        )
    login = client.begin()
    _show(login.url, browser=options.browser)
    return _pasted(client, login)


def _show(url: str, *, browser: bool) -> None:
    opened = browser and open_browser(url)
    say("Your browser opens this page; log in there:" if opened else "Open this page and log in:")
    say(f"\n  {url}\n")


def _pasted(client: OAuthClient, login: Login) -> Tokens:
    for left in reversed(range(TRIES)):
        try:
            code, state = split_pasted(ask_hidden("Paste the code from that page (not shown)"))
            with progress("logging in …"):
                return client.finish(login, code, state)
        except (LoginError, ValueError) as e:
            reason = redact(str(e))
            if isinstance(e, LoginError) and not e.again:
                fail(f"not logged in: {reason}", FAILED)
            say(f"That did not work: {reason}")
            if left:
                again = "Copy the code again, whole; the same page, opened anew, gives a new one"
                say(f"{again} ({_tries(left)})")
    fail(f"not logged in; {OVER}", FAILED)


def _caught(client: OAuthClient, redirect_uri: str, *, browser: bool) -> Tokens:
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


def _try(key: Secret, options: LoginOptions, config: Config) -> None:
    """Ask upstream whether it takes the key. Raises `LoginError`."""
    with progress("trying the key …"):
        try_key(_client(options, config), key, options.label, config)


def _client(options: LoginOptions, config: Config) -> OAuthClient:
    return OAuthClient(config.oauth, network=network(config, options.config))
