"""`neurolink dashboard`."""

from __future__ import annotations

import os
import secrets

import click

from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.browser import open_browser
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.running import admin_headers, running_state
from neurolink_mitm.core.auth.client_keys import digest

OVER_SSH = ("SSH_CONNECTION", "SSH_TTY")


@click.command("dashboard")
@click.option("-p", "--port", type=int, help="Of the proxy, if several run.")
@click.option("--print", "print_only", is_flag=True, help="Print the link, and open nothing.")
def command(port: int | None, print_only: bool) -> None:
    """Open the dashboard in the browser, by a link that is good once, for a minute.

    Where there is no browser, as over ssh, the link is printed.

    Example: neurolink dashboard --print
    """
    state = running_state(port)
    link = new_link(state)
    if print_only or not _opened(link):
        click.echo(link)
    else:
        click.echo("the dashboard opens in your browser")


def new_link(state: ProxyState) -> str:
    """Return a link; the proxy gets the digest of its token. Exits where there is no dashboard."""
    _refuse_older(state)
    token = secrets.token_urlsafe(32)
    url = f"{state.url}/admin/dashboard-link"
    query = {"link": digest(token)}
    response = http_client.ask(url, query, admin_headers(state), post=b"")
    address = response.document.get("url")
    if response.status == 200 and isinstance(address, str):
        return f"{address}/signin#{token}"
    error = response.document.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    fail(str(message or f"the proxy on {state.url} does not answer"), FAILED)


def _refuse_older(state: ProxyState) -> None:
    """Exit where the proxy is of a version without dashboard: it would send our question upstream."""
    banner = http_client.ask(state.url + "/", headers=admin_headers(state))
    if banner.status == 200 and "dashboard" not in banner.document:
        version = banner.document.get("version", "unknown")
        fail(f"the proxy on {state.url} is older ({version}): restart it", FAILED)


def _opened(link: str) -> bool:
    over_ssh = any(os.environ.get(name) for name in OVER_SSH) and not os.environ.get("BROWSER")
    return not over_ssh and open_browser(link)
