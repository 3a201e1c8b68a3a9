"""`neurolink auth login`: gets a credential, finds its place, stores it, says so."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.home import audit, configuration
from neurolink_mitm.cli.ui.home import store as open_store
from neurolink_mitm.cli.ui.options import (
    bare_label,
    config_option,
    format_option,
    provider_argument,
)
from neurolink_mitm.cli.ui.terminal import confirm, print_report, say
from neurolink_mitm.core.auth.credentials import StoredAccount, check_label
from neurolink_mitm.core.redact.text import redact

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.accounts.credentials import NewCredential
    from neurolink_mitm.accounts.placement import Placement
    from neurolink_mitm.adapters.token_store import TokenStore
    from neurolink_mitm.cli.auth.methods import LoginOptions

METHOD_NAMES = ("oauth", "api-key", "create-api-key", "setup-token", "import")


def _legal(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check a label before the login in the browser, not after it."""
    try:
        return value if value is None else check_label(bare_label(value))
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


@click.command()
@provider_argument(default="anthropic")
@click.option(
    "-m",
    "--method",
    type=click.Choice(METHOD_NAMES),
    default="oauth",
    show_default=True,
    help="How: in the browser; with an API key; with one that is created through the browser;"
    " with a token of `claude setup-token`; with the login of the Claude Code installed here.",
)
@click.option("--add", is_flag=True, help="Put it beside the accounts there are, unasked.")
@click.option("--label", callback=_legal, help="What to call it (default: its e-mail address).")
@click.option(
    "--non-interactive",
    is_flag=True,
    help="Ask nothing: the key is taken from ANTHROPIC_API_KEY, the token from CLAUDE_CODE_OAUTH_TOKEN.",
)
@click.option("--no-browser", is_flag=True, help="Only print the page's address, as over SSH.")
@click.option("--no-verify", is_flag=True, help="Store an API key without trying it.")
@config_option()
@format_option
@click.option("--debug", is_flag=True, help="Say what goes over the network; secrets are left out.")
def login(
    provider: str, method: str, form: str, config: Path | None, debug: bool, **flags: Any
) -> None:
    """Log in to an account and store it.

    Example: neurolink auth login anthropic --add --label work
    """
    from neurolink_mitm.accounts.credentials import shadowed
    from neurolink_mitm.accounts.operations import save_login
    from neurolink_mitm.cli.auth.methods import METHODS, LoginOptions

    if debug:
        _set_up_logging()
    options = LoginOptions(
        label=flags["label"],
        add=flags["add"],
        attended=not flags["non_interactive"],
        browser=not flags["no_browser"],
        verify=not flags["no_verify"],
        config=config,
    )
    store = open_store()
    _check_readable(store)
    settings = configuration(config)
    obtained = METHODS[method](options, settings)
    placement = _placed(obtained, store, options)
    account = save_login(store, audit(), obtained.account, placement)
    for note in (placement.note, obtained.note, shadowed(account.label, settings)):
        if note:
            say(f"note: {note}")
    _report(account, method, placement, form)


def _check_readable(store: TokenStore) -> None:
    """Exit where the store can't be read, before the login rather than after it."""
    from neurolink_mitm.adapters.token_store import StoreInUseError, TokenStoreError

    try:
        store.read()
    except StoreInUseError:
        raise
    except TokenStoreError as e:
        fail(f"{redact(str(e))}; repair it, or move it away and log in again", FAILED)


def _placed(obtained: NewCredential, store: TokenStore, options: LoginOptions) -> Placement:
    """Return where the new account goes, once the user has agreed."""
    from neurolink_mitm.accounts.placement import place

    # read now: a login in the browser takes its time
    try:
        placement = place(obtained.account, store.read().stored, options.label, add=options.add)
    except ValueError as e:
        fail(str(e), USAGE)
    if placement.question is None:
        return placement
    if not options.attended:
        if placement.otherwise:
            fail(f"nothing was stored; {placement.otherwise}", USAGE)
        return placement
    hint = placement.otherwise or "pass --non-interactive to take that for yes"
    if not confirm(placement.question, default=placement.default, otherwise=hint):
        fail("nothing was stored", FAILED)
    return placement


def _report(account: StoredAccount, method: str, placement: Placement, form: str) -> None:
    from neurolink_mitm.accounts.report import identity

    report = {**identity(account), "method": method, "replaced": placement.replaces}
    what = "API key" if account.type == "api_key" else "login"
    done = "renewed" if placement.replaces else "stored"
    was = f", until now {placement.gone!r}" if placement.gone else ""
    whose = f" of {account.email}" if account.email and account.email != account.label else ""
    text = f"{what}{whose} {done} as {account.label!r}{was}; a running proxy uses it at once\n"
    print_report(form, report, lambda: text)


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _set_up_logging() -> None:
    """Log our own lines, and each request's method, address and status; httpcore's would hold headers."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _Redacted("%(asctime)s %(name)s %(message)s", "%H:%M:%S %Z")
    handler.setFormatter(formatter)
    for name, level in (("neurolink", logging.DEBUG), ("httpx", logging.INFO)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
