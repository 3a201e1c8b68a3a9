"""`neurolink proxy reset`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from neurolink_mitm.accounts.resets import record_resets, reset_file
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.persisted_state import read_cooldowns
from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.home import audit, home
from neurolink_mitm.cli.ui.running import admin_headers, running_states


class ResetError(Exception):
    """The proxy has reset nothing; the text says why."""


@click.command("reset")
@click.argument("account", required=False)
def command(account: str | None) -> None:
    """Forget the cooldowns of ACCOUNT, or of all: they are asked again with the next request.

    Example: neurolink proxy reset work
    """
    running = running_states()
    try:
        labels = (
            reset_running(running, account, home(), audit())
            if running
            else reset_file(home(), audit(), account)
        )
    except (ResetError, ValueError) as e:
        fail(str(e), FAILED)
    click.echo(f"reset: {', '.join(labels)}" if labels else "nothing to reset")


def reset_running(
    running: Sequence[ProxyState], account: str | None, home: Home, audit: Audit
) -> list[str]:
    """Reset each proxy: it has cooldowns of its own. Return the labels. Raises `ResetError`."""
    before = read_cooldowns(home.cooldowns)
    labels: list[str] = []
    for state in running:
        new = [label for label in _reset(state, account) if label not in labels]
        record_resets(audit, new, before)
        labels += new
    return labels


def _reset(state: ProxyState, account: str | None) -> list[str]:
    query = {"account": account} if account else {}
    response = http_client.ask(f"{state.url}/admin/reset", query, admin_headers(state), post=b"")
    report = response.document
    if response.status != 200 or "reset" not in report:
        answered = f"answered {response.status}" if response.status else "does not answer"
        error = report.get("error") or {}
        raise ResetError(error.get("message") or f"the proxy on {state.url} {answered}")
    return list(report["reset"])
