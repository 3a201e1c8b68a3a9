"""`neurolink logs`: show, tail, export, audit."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from neurolink_mitm.adapters.bodies import read_body
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.options import Option, bare_label, format_option
from neurolink_mitm.cli.ui.terminal import as_json, say
from neurolink_mitm.core.exchange import Outcome
from neurolink_mitm.core.logs import timestamps as when
from neurolink_mitm.records import format as log_format
from neurolink_mitm.records import har as archive
from neurolink_mitm.records import search
from neurolink_mitm.records.attempt_times import WIDE as BARS_WIDE
from neurolink_mitm.records.audit import change_line, changes
from neurolink_mitm.records.log_files import Follower
from neurolink_mitm.records.row_reader import LoggedRequest, RequestFilter

EVERY = 0.2
"""Seconds between two reads of a file that is followed."""


@click.group(name="logs", cls=Group)
def command() -> None:
    """Look at requests: what became of them, and what was sent."""


@command.command()
@click.argument("request_id")
@click.option(
    "--no-bodies", is_flag=True, help="Only what became of it, without what was captured."
)
@format_option
def show(request_id: str, no_bodies: bool, form: str) -> None:
    """Show all that is known of a request: its attempts, the reasons, headers and bodies.

    Example: neurolink logs show req_nl_8ebbba8744c9fac476f2
    """
    logs = home().logs
    record = search.request_record(logs, request_id, captured=not no_bodies)
    request, attempts, captured = record.request, record.attempts, record.captured
    if not record:
        fail(f"{logs} knows no request {request_id!r:.80}; see: neurolink logs tail", FAILED)
    if form == "json":
        sides = [{**row, "body": search.body_json(logs, row)} for row in captured]
        report = {"request": request, "attempts": attempts, "captured": sides}
        click.echo(as_json(report), nl=False)
        return
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else BARS_WIDE
    for line in log_format.timeline(request, attempts, room) if request or attempts else ():
        click.echo(log_format.one_line(line))
    printed: set[str] = set()
    for row in captured:
        _print_side(logs, row, printed)
    if not captured and not no_bodies:
        say("nothing of it was captured; logging.capture-bodies: all keeps every body")


def _print_side(logs: Path, row: dict[str, Any], printed: set[str]) -> None:
    """Print one side; `printed` are the paths of bodies that were printed: two sides may share one."""
    click.echo()
    for line in log_format.side(row):
        click.echo(log_format.one_line(line))
    path = row.get("bodyPath")
    if path in printed:
        click.echo("\n(the body shown above)")
    elif path:
        printed.add(path)
        click.echo()
        document = read_body(logs, path)
        for text in log_format.body(document) if document else ("(its file is gone)",):
            click.echo(log_format.escape_controls(text))


def _status(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check a status: a wrong one would match nothing, and not say why."""
    outcomes = [each.value for each in Outcome]
    if value is None or value.lower() in outcomes or re.fullmatch(r"[1-5](\d\d|[xX]{2})", value):
        return value
    raise click.BadParameter(f"{value!r:.80} is neither 429, 5xx nor one of {', '.join(outcomes)}")


def _bare(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return value and bare_label(value)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select requests, the fields of `RequestFilter`."""
    options: tuple[Option[Any], ...] = (
        click.option("--account", callback=_bare, help="Only those that this account served."),
        click.option(
            "--status", callback=_status,
            help="Only those with this status (429), class (5xx) or outcome (error).",
        ),
        click.option("--model", help="Only those of which a model's name, asked or actual, holds this."),
        click.option("--session", help="Only those of the session that begins so."),
        click.option("--client", help="Only those with the key of this client."),
        click.option("--agent", help="Only those of the agent that begins so, and of those it started."),
        click.option("--user", help="Only those whose x-neurolink-user-id begins so."),
        click.option("--conversation", help="Only those whose x-neurolink-conversation-id begins so."),
        click.option("--replica", help="Only those that this replica of a cluster answered."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@command.command()
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(0, 100_000),
    help="How many.",
)  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on as requests finish, until Ctrl-C.")
@filter_options
@format_option
def tail(lines: int, follow: bool, form: str, **filters: str | None) -> None:
    """Show the latest requests, a line each; as JSON, their rows. Times are local.

    Example: neurolink logs tail --follow --status 5xx
    """
    wanted = RequestFilter(**filters)
    logs = home().logs
    follower = Follower(logs, "proxy")
    follower.start()  # before the past is read: what comes meanwhile is shown after it
    past = search.latest(logs, lines, wanted)
    for raw, row in past:
        _print_row(raw, row, form)
    if not past and not follow:
        say(f"no such request in {logs}")
    while follow:
        for raw, row in search.matching(follower.more(), wanted):
            _print_row(raw, row, form)
        time.sleep(EVERY)


def _print_row(raw: bytes, row: LoggedRequest, form: str) -> None:
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(raw.decode().rstrip("\n") if form == "json" else log_format.line(row, room))
    sys.stdout.flush()


@command.command()
@click.argument("request_id", required=False)
@click.option("--har", is_flag=True, required=True, help="As an HTTP archive, HAR 1.2.")
@click.option("--since", help="All since then: 30m, 2h, yesterday, 2026-11-22T10:00 (local).")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="A new file, readable by you only (default: stdout).",
)  # fmt: skip
def export(request_id: str | None, har: bool, since: str | None, output: Path | None) -> None:
    """Write what was captured of REQUEST_ID, or of all requests --since then, for other tools to read.

    Example: neurolink logs export --har --since 1h -o neurolink.har
    """
    if (request_id is None) == (since is None):
        fail("name a request, or say --since when", USAGE)
    logs = home().logs
    if request_id:
        sides = search.rows_of(logs, "proxy-debug", request_id)
    else:
        sides = search.captured_since(logs, moment(since or ""))
    entries = search.har_entries(logs, sides)
    first = next(entries, None)
    if first is None:
        fail("nothing of it was captured; logging.capture-bodies: all keeps every body", FAILED)
    count = 1
    try:
        with _opened(output) as file:
            file.write(archive.HEAD + first)
            for entry in entries:
                count += 1
                file.write(f",{entry}")
            file.write(archive.TAIL)
    except FileExistsError:
        fail(f"{output} is there already", FAILED)
    say(f"{count} attempts; conversations are in it: mind whom you give it to")


def _opened(output: Path | None) -> AbstractContextManager[IO[str]]:
    if output is None:
        return click.open_file("-", "w", encoding="utf-8")
    return open(output, "x", encoding="utf-8", opener=lambda path, how: os.open(path, how, 0o600))


@command.command()
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(0, 100_000),
    help="How many.",
)  # fmt: skip
@click.option(
    "--since", help="Only those since then: 30m, 2h, yesterday, 2026-11-22T10:00 (local)."
)
@format_option
def audit(lines: int, since: str | None, form: str) -> None:
    """Show the latest changes: who did what by a command or in the dashboard, and what it was before. Times are local.

    Example: neurolink logs audit --since yesterday
    """
    logs = home().logs
    rows = changes(logs, lines, moment(since) if since else None)
    for row in rows:
        click.echo(msgspec.json.encode(row) if form == "json" else change_line(row))
    if not rows:
        say(f"no such change in {logs}")


def moment(text: str) -> float:
    """Return the time that the user wrote, or exit with 2."""
    try:
        return when.parse_time(text, time.time())
    except ValueError as e:
        fail(str(e), USAGE)
