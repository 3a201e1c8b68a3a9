"""`neurolink proxy setup`: from nothing to a Claude Code that works through the proxy. Safe to run again."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.adapters.client_file import ClientFileError, read_clients
from neurolink_mitm.adapters.files import write_atomic
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError
from neurolink_mitm.cli.auth.login import METHOD_NAMES, login
from neurolink_mitm.cli.proxy import background, setup_choices
from neurolink_mitm.cli.proxy.install import install
from neurolink_mitm.cli.proxy.smoke_test import SmokeTestError, smoke_test
from neurolink_mitm.cli.ui import home
from neurolink_mitm.cli.ui.terminal import counted, done, failed, progress, skipped
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.service.manager import ServiceError, check_usable, find

STARTER = "starter.yaml"


@click.command("setup")
@background.start_options
@click.option(
    "--no-service", is_flag=True, help="Start it in the background, until the machine restarts."
)
@click.option(
    "-m",
    "--method",
    type=click.Choice(METHOD_NAMES),
    help="How to log in, where there is no account yet (default: oauth; or api-key, if"
    " ANTHROPIC_API_KEY is set).",
)
@click.option("--non-interactive", is_flag=True, help="Ask nothing, as `auth login` does then.")
@setup_choices.options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    port: int,
    host: str,
    config: Path | None,
    env_file: Path | None,
    no_service: bool,
    method: str | None,
    non_interactive: bool,
    **asked: Any,
) -> None:
    """Log in, run the proxy for good, and point Claude Code at it, in one go.

    Example: neurolink proxy setup
    """
    options = background.ServiceOptions(port, host, config, env_file)
    place = home.home()
    place.create()
    accounts = _accounts(ctx, config, method, non_interactive)
    _configuration(place, config)
    choices = setup_choices.choose(place, setup_choices.Asked(**asked), ask=not non_interactive)
    state = _proxy(place, options, no_service)
    guarded = _guarded(place, config)
    _claude_code(place, state, guarded)
    setup_choices.put_in_force(place, state, choices)
    _smoke_test(state, accounts, guarded)
    click.echo("\nUndo all of it with: neurolink proxy uninstall --purge")


def _accounts(
    ctx: click.Context, config: Path | None, method: str | None, non_interactive: bool
) -> tuple[Account, ...]:
    """Return the accounts, after a login where there is none.

    The environment's key counts only once it is stored, as a service does not see it.
    """
    accounts = home.accounts(home.configuration(config))
    if not accounts:
        from_key = method is None and bool(os.environ.get("ANTHROPIC_API_KEY"))
        ctx.invoke(
            login,
            provider="anthropic", method="api-key" if from_key else method or "oauth",
            form="text", config=config, debug=False, add=False, label=None,
            non_interactive=non_interactive or from_key, no_browser=False, no_verify=False,
        )  # fmt: skip
        accounts = home.accounts(home.configuration(config))
    labels = ", ".join(account.label for account in accounts)
    done(f"{counted(len(accounts), 'account')}: {labels}")
    return accounts


def _configuration(place: Home, config: Path | None) -> None:
    path = config or place.config
    if path.exists():
        done(f"configuration: {path}")
        return
    text = resources.files("neurolink_mitm.config").joinpath(STARTER).read_bytes()
    write_atomic(path, text)
    done(f"configuration written, to be changed as you like: {path}")


def _proxy(place: Home, options: background.ServiceOptions, no_service: bool) -> ProxyState:
    running = background.serving(place)
    if running:
        done(f"the proxy runs already: {running.caller_url} (pid {running.pid})")
        if not no_service and _could_be_service():
            skipped(
                "it is no service, and ends with its terminal: for one, run neurolink proxy stop,"
                " then this again"
            )
        return running
    if not no_service and (served := _service(place, options)):
        return served
    with progress("starting the proxy …"):
        state, log = background.start(place, options)
    if state is None:
        with log.open(encoding="utf-8", errors="replace") as lines:
            failed(f"the proxy did not start: {background.last_words(lines)} (all of it: {log})")
    done(f"the proxy runs, until the machine restarts: {state.caller_url} (pid {state.pid})")
    return state


def _could_be_service() -> bool:
    try:
        manager = find(os.environ)
        check_usable(manager)
    except ServiceError:
        return False
    return not manager.path.exists()


def _service(place: Home, options: background.ServiceOptions) -> ProxyState | None:
    """Install and start the service; None where there can be none."""
    try:
        manager = find(os.environ)
        check_usable(manager)
        with progress("installing the service …"):
            install(manager, place, options)
    except ServiceError as e:
        skipped(f"not installed as a service: {e}")
        return None
    done(f"installed as a service: {manager.path}")
    return background.wait(place)


def _claude_code(place: Home, state: ProxyState, guarded: bool) -> None:
    """Report whether the proxy has changed Claude Code's settings, as it does at its start."""
    try:
        entry = ClaudeSettings(place.claude_settings).entry(state.pid)
    except SettingsError as e:
        failed(str(e))
    if entry is None:
        skipped(
            "Claude Code's settings were left alone, see what the proxy said at its start;"
            ' in a shell it is: eval "$(neurolink proxy env)"'
        )
        return
    done(f"Claude Code comes to {entry.url}: {entry.path}")
    if guarded:
        skipped(
            "it must show a client key, as all callers: neurolink clients add claude-code, then"
            " export ANTHROPIC_AUTH_TOKEN=<key> where you start it"
        )


def _guarded(place: Home, config: Path | None) -> bool:
    """Whether callers must show a key."""
    try:
        made = read_clients(place.clients)
    except ClientFileError as e:
        failed(str(e))
    return bool(made or home.configuration(config).clients.api_keys)


def _smoke_test(state: ProxyState, accounts: tuple[Account, ...], guarded: bool) -> None:
    with progress("asking for a first answer …"):
        try:
            answered = smoke_test(state, accounts, guarded=guarded)
        except SmokeTestError as e:
            failed(f"a first request failed: {e}")
    if answered is None:
        skipped("no first request was sent, since only Claude Code can use a subscription: claude")
        return
    by = ", asked by Claude Code" if answered.by_claude_code else ""
    done(f"a first request was answered by {answered.account}{by}")
    if answered.lent and not guarded:
        skipped(
            "Claude Code itself is not logged in and sends nothing: use /login there, or start it"
            " with ANTHROPIC_AUTH_TOKEN=anything, which the proxy replaces by an account's own"
        )
