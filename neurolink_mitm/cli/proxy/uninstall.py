"""`neurolink proxy uninstall`."""

from __future__ import annotations

import os
from contextlib import suppress

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import StateFile
from neurolink_mitm.adapters.token_store import TokenStoreError, open_store
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.settings import SettingsError
from neurolink_mitm.cli.proxy.guard import put_back
from neurolink_mitm.cli.proxy.stop import tell_to_stop, wait_for_end
from neurolink_mitm.cli.proxy.telemetry import remove_all
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.terminal import confirm
from neurolink_mitm.core.settings.values import Timeouts
from neurolink_mitm.service.manager import ServiceError, find


@click.command("uninstall")
@click.option(
    "--purge",
    is_flag=True,
    help="Also stop the proxy and delete configuration, logins, keys and logs.",
)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def command(purge: bool, yes: bool) -> None:
    """Remove the service, and with --purge all else that NeuroLink keeps here.

    Example: neurolink proxy uninstall --purge
    """
    place = home()
    if purge and not yes:
        _confirm(place)
    _remove_service()
    if purge:
        _stop(place)
    _put_back(place)
    place.claude_choices.unlink(missing_ok=True)  # a later start changes no more than the address
    if purge:
        _remove_telemetry(place)
        _forget_logins(place)
        _delete(place)


def _confirm(place: Home) -> None:
    if not place.root.exists():
        return
    question = f"Delete all configuration, logins, keys and logs in {place.root}?"
    if not confirm(question, otherwise="pass --yes to delete without being asked"):
        fail("nothing was changed", FAILED)


def _remove_service() -> None:
    try:
        manager = find(os.environ)
        removed = manager.uninstall()
    except ServiceError as e:
        fail(str(e), FAILED)
    click.echo(f"service removed: {manager.path}" if removed else "no service is installed")


def _stop(place: Home) -> None:
    """Stop all proxies of this home: those of the state files, and those that changed Claude Code's settings."""
    running: dict[int, tuple[float, float]] = {}
    with suppress(SettingsError):  # reported when the settings are put back
        drain = Timeouts().drain
        running = {e.pid: (e.pid_started, drain) for e in AllSettings(place).running()}
    states = StateFile(place.state).running()
    running |= {each.pid: (each.pid_started, each.drain) for each in states}
    for pid in running:
        tell_to_stop(pid)
    for pid, (started, drain) in running.items():
        wait_for_end(pid, started, drain)
        click.echo(f"proxy stopped (pid {pid})")


def _put_back(place: Home) -> None:
    if place.root.exists() and (faults := put_back(place)):
        fail(f"{'; '.join(faults)}: mend it and run this again", FAILED)


def _remove_telemetry(place: Home) -> None:
    """Remove the containers, which would run on unknown to anybody."""
    if done := remove_all(place):
        click.echo(f"telemetry {done}")


def _forget_logins(place: Home) -> None:
    """Delete the logins that are in the keyring, not in a file of the home."""
    if os.environ.get("NEUROLINK_TOKEN_STORE") != "keyring":
        return
    try:
        open_store(place, os.environ).delete()
    except TokenStoreError as e:
        fail(f"logins in the keyring could not be deleted: {e}", FAILED)


def _delete(place: Home) -> None:
    if not place.root.exists():
        click.echo(f"nothing is left: {place.root} is not there")
        return
    try:
        left = place.remove()
    except OSError as e:
        fail(f"{e.filename or place.root} can't be deleted: {e.strerror}", FAILED)
    if left:
        click.echo(f"deleted what is ours in {place.root}; not ours: {', '.join(left)}")
    else:
        click.echo(f"deleted: {place.root}")
