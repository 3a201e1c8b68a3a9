"""`neurolink clients`: keys for those who call the proxy."""

from __future__ import annotations

import time

import click

from neurolink_mitm.cli.auth.context import AuthGroup, home, say
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.groups import format_option
from neurolink_mitm.core.logs.timestamps import local_date_time


def known_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For completion: whatever goes wrong there, the shell hears nothing of it."""
    from neurolink_mitm.adapters.client_file import read_clients

    try:
        clients = read_clients(home().clients)
    except (ValueError, SystemExit):
        return []
    return [client.name for client in clients if client.name.startswith(incomplete)]


@click.group(name="clients", cls=AuthGroup)
def command() -> None:
    """Keys for those who call the proxy."""


@command.command()
@click.argument("name")
@format_option
def add(name: str, form: str) -> None:
    """Make a key for the client NAME and show it, once: only its hash is kept.

    Example: neurolink clients add laptop
    """
    from neurolink_mitm.adapters.client_file import add_client, read_clients

    place = home()
    place.create()
    try:
        first = not read_clients(place.clients)
        key = add_client(place.clients, name, time.time())
    except ValueError as e:
        fail(str(e), FAILED)
    if form == "json":
        from neurolink_mitm.cli.ui.render import as_json

        click.echo(as_json({"name": name, "key": key}), nl=False)
    else:
        click.echo(key)
    say("It is not shown again. Claude Code shows it with: export ANTHROPIC_AUTH_TOKEN=<key>")
    if first:
        say("From now on all callers must show a key, those on this machine too.")


@command.command("list")
@format_option
def list_clients(form: str) -> None:
    """List the clients that have a key; the keys themselves are not kept.

    Example: neurolink clients list
    """
    from neurolink_mitm.adapters.client_file import read_clients
    from neurolink_mitm.cli.ui.render import as_json

    try:
        clients = read_clients(home().clients)
    except ValueError as e:
        fail(str(e), FAILED)
    rows = [{"name": client.name, "createdAt": _iso(client.created_at)} for client in clients]
    if form == "json":
        click.echo(as_json({"clients": rows}), nl=False)
    elif not rows:
        click.echo("no client has a key; make one with: neurolink clients add NAME")
    for row in rows if form == "text" else ():
        click.echo(f"{row['name']}  since {local_date_time(row['createdAt'])}")


@command.command()
@click.argument("name", shell_complete=known_names)
def revoke(name: str) -> None:
    """Let the key of the client NAME open nothing any more, in a running proxy at once.

    Example: neurolink clients revoke laptop
    """
    from neurolink_mitm.adapters.client_file import revoke_client

    place = home()
    try:
        revoked = place.clients.exists() and revoke_client(place.clients, name)
    except ValueError as e:
        fail(str(e), FAILED)
    if not revoked:
        fail(f"no client {name!r}; see: neurolink clients list", FAILED)
    click.echo(f"revoked: {name}")


def _iso(seconds: float) -> str:
    from neurolink_mitm.core.logs.rows import iso

    return f"{iso(seconds)[:19]}Z"
