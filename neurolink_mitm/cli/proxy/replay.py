"""`neurolink proxy replay`."""

from __future__ import annotations

from pathlib import Path

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import format_option


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-s", "--strategy", required=True, help="The strategy to compare with what happened.")
@format_option
def command(file: Path, strategy: str, form: str) -> None:
    """Run recorded attempts (proxy-attempts-….jsonl) through another strategy; nothing is sent.

    Example: neurolink proxy replay ~/.neurolink/logs/proxy-attempts-2026-11-22.jsonl -s quota-aware
    """
    from neurolink_mitm.cli.ui import render
    from neurolink_mitm.core.pool.selection import STRATEGIES
    from neurolink_mitm.records import replay as replaying

    if strategy not in STRATEGIES:
        fail(f"unknown strategy {strategy!r}; choose {', '.join(STRATEGIES)}", USAGE)
    with file.open("rb") as lines:
        rows, bad = replaying.read_rows(lines)
    if not rows:
        fail(f"{file} holds no attempts", FAILED)
    if bad:
        click.echo(f"neurolink: {bad} lines of {file.name} are no attempts, left out", err=True)
    report = render.replay_report(
        replaying.recorded(rows), replaying.replay(rows, strategy), strategy
    )
    click.echo(render.as_json(report) if form == "json" else render.replay_text(report), nl=False)
