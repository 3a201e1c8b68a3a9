"""`neurolink proxy reset`."""

from __future__ import annotations

import click

from neurolink_mitm.adapters.state_file import State, StateFile
from neurolink_mitm.cli import http_client
from neurolink_mitm.cli.exits import FAILED, fail
from neurolink_mitm.cli.running import home, owner


@click.command("reset")
@click.argument("account", required=False)
def command(account: str | None) -> None:
    """Forget the cooldowns of ACCOUNT, or of all: they are asked again with the next request.

    Example: neurolink proxy reset work
    """
    state = StateFile(home().state).read()
    running = state is not None and state.alive
    labels = _reset_running(state, account) if state and running else _reset_file(account)
    click.echo(f"reset: {', '.join(labels)}" if labels else "nothing to reset")


OURS = "anthropic:"
"""Before an account's label; keys of other providers' models are their names."""


def _reset_running(state: State, account: str | None) -> list[str]:
    query = {"account": account} if account else {}
    code, answer = http_client.post(f"{state.url}/admin/reset", query, owner(state))
    if code != 200:
        fail(answer.get("error", {}).get("message", f"the proxy answered {code}"), FAILED)
    return list(answer["reset"])


def _reset_file(account: str | None) -> list[str]:
    """No proxy runs: what it would read at its next start."""
    from neurolink_mitm.adapters.pool_memory import read_cooldowns, write_cooldowns

    path = home().cooldowns
    known = dict(read_cooldowns(path))
    gone = [key for key in known if account in (None, key, key.removeprefix(OURS))]
    if account and not gone:
        fail(f"no cooldown is kept for an account {account!r}", FAILED)
    if gone:
        write_cooldowns(path, {key: kept for key, kept in known.items() if key not in gone})
    return [key.removeprefix(OURS) for key in gone]
