"""`neurolink proxy reset`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.options import bare_label
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
        labels = reset_running(running, account) if running else _reset_file(account)
    except ResetError as e:
        fail(str(e), FAILED)
    click.echo(f"reset: {', '.join(labels)}" if labels else "nothing to reset")


def reset_running(running: Sequence[ProxyState], account: str | None) -> list[str]:
    """Reset each proxy: it has cooldowns of its own. Return the labels. Raises `ResetError`."""
    labels = (label for state in running for label in _reset(state, account))
    return list(dict.fromkeys(labels))


def _reset(state: ProxyState, account: str | None) -> list[str]:
    query = {"account": account} if account else {}
    response = http_client.ask(f"{state.url}/admin/reset", query, admin_headers(state), post=b"")
    report = response.document
    if response.status != 200 or "reset" not in report:
        answered = f"answered {response.status}" if response.status else "does not answer"
        error = report.get("error") or {}
        raise ResetError(error.get("message") or f"the proxy on {state.url} {answered}")
    return list(report["reset"])


def _reset_file(account: str | None) -> list[str]:
    """Remove cooldowns from the file that the proxy reads at its next start."""
    from neurolink_mitm.adapters.persisted_state import read_cooldowns, write_cooldowns

    path = home().cooldowns
    cooldowns = dict(read_cooldowns(path))
    gone = [key for key in cooldowns if account in (None, key, bare_label(key))]
    if account and not gone:
        cooling = ", ".join(map(bare_label, cooldowns))
        there = f"; there are some for: {cooling}" if cooling else ""
        fail(f"no cooldown is kept for an account {account!r}{there}", FAILED)
    if gone:
        write_cooldowns(path, {key: cooldowns[key] for key in cooldowns if key not in gone})
    return [*map(bare_label, gone)]
