"""`neurolink notify`: the channels of notices."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.home import inputs
from neurolink_mitm.cli.ui.options import config_option, env_file_option, format_option
from neurolink_mitm.cli.ui.terminal import print_report

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.notices.trial import Outcome


@click.group(name="notify", cls=Group)
def command() -> None:
    """Notices of what happens to the accounts."""


@command.command()
@click.option(
    "--channel",
    "only",
    type=click.Choice(["desktop", "webhook", "command"]),
    help="Try only this one.",
)
@config_option()
@env_file_option
@format_option
def test(only: str | None, config: Path | None, env_file: Path | None, form: str) -> None:
    """Send a test event through each configured channel now, and say what became of it.

    Exit code 1 if a channel failed, 2 if none is configured.

    Example: neurolink notify test --channel webhook
    """
    from neurolink_mitm.notices.channels import channels_of
    from neurolink_mitm.notices.event import trial_event
    from neurolink_mitm.notices.trial import try_channels

    read = inputs(config, env_file)
    channels = channels_of(read.config.notify, read.environ, read.network)
    tried = [each for each in channels if only in (None, each.name)]
    if not tried:
        missing = f"notify.{only} is" if only else "desktop, webhook or command under notify: is"
        fail(f"there is no channel to try: {missing} not set in the configuration", USAGE)
    event = trial_event(f"ntc_{os.urandom(10).hex()}", time.time())
    outcomes = try_channels(tried, event)
    print_report(form, _report(event.id, outcomes), lambda: _text(outcomes))
    if not all(outcome.ok for outcome in outcomes):
        raise SystemExit(FAILED)


def _report(event_id: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "id": event_id,
        "ok": all(outcome.ok for outcome in outcomes),
        "channels": [
            {
                "channel": each.channel,
                "ok": each.ok,
                "status": each.text,
                "durationMs": each.milliseconds,
            }
            for each in outcomes
        ],
    }


def _text(outcomes: Sequence[Outcome]) -> str:
    lines = (
        f"{each.channel:8} {'ok' if each.ok else 'failed':6}  {each.text} ({each.milliseconds} ms)\n"
        for each in outcomes
    )
    return "".join(lines)
