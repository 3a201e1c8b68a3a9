"""`neurolink proxy reset`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.running import home, owner, running_states


@click.command("reset")
@click.argument("account", required=False)
def command(account: str | None) -> None:
    """Forget the cooldowns of ACCOUNT, or of all: they are asked again with the next request.

    Example: neurolink proxy reset work
    """
    running = running_states()
    labels = _reset_all(running, account) if running else _reset_file(account)
    click.echo(f"reset: {', '.join(labels)}" if labels else "nothing to reset")


OURS = "anthropic:"
"""Before an account's label; keys of other providers' models are their names."""


def _reset_all(running: Sequence[ProxyState], account: str | None) -> list[str]:
    """Each proxy keeps cooldowns of its own."""
    found = [label for state in running for label in _reset_running(state, account)]
    return list(dict.fromkeys(found))


def _reset_running(state: ProxyState, account: str | None) -> list[str]:
    query = {"account": account} if account else {}
    code, answer = http_client.post(f"{state.url}/admin/reset", query, owner(state))
    if code != 200:
        fail(answer.get("error", {}).get("message", f"the proxy answered {code}"), FAILED)
    return list(answer["reset"])


def _reset_file(account: str | None) -> list[str]:
    """No proxy runs: what it would read at its next start."""
    from neurolink_mitm.adapters.persisted_state import read_cooldowns, write_cooldowns

    path = home().cooldowns
    known = dict(read_cooldowns(path))
    gone = [key for key in known if account in (None, key, key.removeprefix(OURS))]
    if account and not gone:
        cooling = ", ".join(key.removeprefix(OURS) for key in known)
        there = f"; there are some for: {cooling}" if cooling else ""
        fail(f"no cooldown is kept for an account {account!r}{there}", FAILED)
    if gone:
        write_cooldowns(path, {key: kept for key, kept in known.items() if key not in gone})
    return [key.removeprefix(OURS) for key in gone]
