"""`neurolink dashboard`."""

from __future__ import annotations

import webbrowser

import click

from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.running import admin_headers, running_state


@click.command("dashboard")
@click.option("-p", "--port", type=int, help="Of the proxy, if several run.")
@click.option("--print", "print_only", is_flag=True, help="Print the link, and open nothing.")
def command(port: int | None, print_only: bool) -> None:
    """Open the dashboard in the browser, by a link that is good once, for a minute.

    Example: neurolink dashboard --print
    """
    state = running_state(port)
    url = f"{state.url}/admin/dashboard-link"
    response = http_client.ask(url, headers=admin_headers(state), post=b"")
    link = response.document.get("url")
    if response.status != 200 or not isinstance(link, str):
        error = response.document.get("error") or {}
        fail(error.get("message") or f"the proxy on {state.url} does not answer", FAILED)
    if print_only or not webbrowser.open(link):
        click.echo(link)
    else:
        click.echo("the dashboard opens in your browser")
