"""`neurolink clients`: keys for those who call the proxy."""

from __future__ import annotations

import time

import click

from neurolink_mitm.adapters.client_file import add_client, read_clients, revoke_client
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.options import format_option
from neurolink_mitm.cli.ui.terminal import print_report, say
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import local_date_time


def _client_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that complete `incomplete`; none where the file can't be read."""
    try:
        clients = read_clients(home().clients)
    except (ValueError, SystemExit):
        return []
    return [client.name for client in clients if client.name.startswith(incomplete)]


@click.group(name="clients", cls=Group)
def command() -> None:
    """Keys for those who call the proxy."""


@command.command()
@click.argument("name")
@format_option
def add(name: str, form: str) -> None:
    """Make a key for the client NAME and show it, once: only its hash is kept.

    Example: neurolink clients add laptop
    """
    place = home()
    place.create()
    try:
        first = not read_clients(place.clients)
        key = add_client(place.clients, name, time.time())
    except ValueError as e:
        fail(str(e), FAILED)
    print_report(form, {"name": name, "key": key}, lambda: f"{key}\n")
    say(
        "It is not shown again. Claude Code shows it with: export ANTHROPIC_AUTH_TOKEN=<key>;"
        " other tools: neurolink proxy env --for TOOL"
    )
    if first:
        say("From now on all callers must show a key, those on this machine too.")


@command.command("list")
@format_option
def list_clients(form: str) -> None:
    """List the clients that have a key; the keys themselves are not kept.

    Example: neurolink clients list
    """
    try:
        clients = read_clients(home().clients)
    except ValueError as e:
        fail(str(e), FAILED)
    rows = [
        {"name": client.name, "createdAt": f"{iso(client.created_at)[:19]}Z"} for client in clients
    ]
    lines = "".join(f"{row['name']}  since {local_date_time(row['createdAt'])}\n" for row in rows)
    none = "no client has a key; make one with: neurolink clients add NAME\n"
    print_report(form, {"clients": rows}, lambda: lines or none)


@command.command()
@click.argument("name", shell_complete=_client_names)
def revoke(name: str) -> None:
    """Let the key of the client NAME open nothing any more, in a running proxy at once.

    Example: neurolink clients revoke laptop
    """
    place = home()
    try:
        revoked = place.clients.exists() and revoke_client(place.clients, name)
    except ValueError as e:
        fail(str(e), FAILED)
    if not revoked:
        fail(f"no client {name!r}; see: neurolink clients list", FAILED)
    click.echo(f"revoked: {name}")
