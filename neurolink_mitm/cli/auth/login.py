"""`neurolink auth login`: gets a credential, finds its place, stores it, says so."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError
from neurolink_mitm.cli.auth import context
from neurolink_mitm.cli.auth.methods import METHODS, LoginOptions, NewCredential
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import format_option
from neurolink_mitm.core.auth.credentials import StoredAccount, check_label
from neurolink_mitm.core.redact.text import redact

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.accounts.placement import Placement


def _legal(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Before the trip to the browser, not after it."""
    try:
        return value if value is None else check_label(context.bare_label(value))
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


@click.command()
@context.provider_argument(default="anthropic")
@click.option(
    "-m",
    "--method",
    type=click.Choice(list(METHODS)),
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
@context.config_option
@format_option
@click.option("--debug", is_flag=True, help="Say what goes over the network; secrets are left out.")
def login(
    provider: str, method: str, form: str, config: Path | None, debug: bool, **flags: Any
) -> None:
    """Log in to an account and store it.

    Example: neurolink auth login anthropic --add --label work
    """
    from neurolink_mitm.accounts.operations import save_login

    if debug:
        _set_up_logging()
    asked = LoginOptions(
        label=flags["label"],
        add=flags["add"],
        attended=not flags["non_interactive"],
        browser=not flags["no_browser"],
        verify=not flags["no_verify"],
        config=config,
    )
    store = context.store()
    _check_readable(store)
    settings = context.configuration(config)
    obtained = METHODS[method](asked, settings)
    chosen = _placed(obtained, store, asked)
    account = save_login(store, obtained.account, chosen)
    own_key = any(each.name == account.label and each.api_key for each in settings.accounts)
    notes = [chosen.note, obtained.note, _shadowed(account.label) if own_key else None]
    _report(account, method, chosen, [note for note in notes if note], form)


def _check_readable(store: TokenStore) -> None:
    """What can't be read can't be added to: better known before the login than after it."""
    try:
        store.read()
    except TokenStoreError as e:
        fail(f"{redact(str(e))}; repair it, or move it away and log in again", FAILED)


def _placed(obtained: NewCredential, store: TokenStore, asked: LoginOptions) -> Placement:
    from neurolink_mitm.accounts.placement import place

    # read now: a login in the browser takes its time
    try:
        chosen = place(obtained.account, store.read().stored, asked.label, add=asked.add)
    except ValueError as e:
        fail(str(e), USAGE)
    if chosen.question is None:
        return chosen
    if not asked.attended:
        if chosen.otherwise:
            fail(f"nothing was stored; {chosen.otherwise}", USAGE)
        return chosen
    hint = chosen.otherwise or "pass --non-interactive to take that for yes"
    if not context.confirm(chosen.question, default=chosen.default, otherwise=hint):
        fail("nothing was stored", FAILED)
    return chosen


def _shadowed(label: str) -> str:
    return f"the configuration has an apiKey of its own for {label!r}, and that one is used"


def _report(
    account: StoredAccount, method: str, chosen: Placement, notes: list[str], form: str
) -> None:
    for note in notes:
        context.say(f"note: {note}")
    if form == "json":
        from neurolink_mitm.accounts.report import identity
        from neurolink_mitm.cli.ui.render import as_json

        report = {**identity(account), "method": method, "replaced": chosen.replaces}
        click.echo(as_json(report), nl=False)
        return
    what = "API key" if account.type == "api_key" else "login"
    done = "renewed" if chosen.replaces else "stored"
    was = f", until now {chosen.gone!r}" if chosen.gone else ""
    whose = f" of {account.email}" if account.email and account.email != account.label else ""
    click.echo(f"{what}{whose} {done} as {account.label!r}{was}; a running proxy uses it at once")


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _set_up_logging() -> None:
    """Our own lines, and each request's method, address and status; httpcore's would hold headers."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _Redacted("%(asctime)s %(name)s %(message)s", "%H:%M:%S %Z")
    handler.setFormatter(formatter)
    for name, level in (("neurolink", logging.DEBUG), ("httpx", logging.INFO)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
