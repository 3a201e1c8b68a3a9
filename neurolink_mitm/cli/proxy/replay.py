"""`neurolink proxy replay`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import format_option
from neurolink_mitm.cli.ui.terminal import print_report
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.records import replay as replaying

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.cli.ui.tables import FittedTable


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-s", "--strategy", required=True, help="The strategy to compare with what happened.")
@format_option
def command(file: Path, strategy: str, form: str) -> None:
    """Run recorded attempts (proxy-attempts-….jsonl) through another strategy; nothing is sent.

    Example: neurolink proxy replay ~/.neurolink/logs/proxy-attempts-2026-11-22.jsonl -s quota-aware
    """
    from neurolink_mitm.cli.ui.tables import printed

    if strategy not in STRATEGIES:
        fail(f"unknown strategy {strategy!r}; choose {', '.join(STRATEGIES)}", USAGE)
    with file.open("rb") as lines:
        rows, bad = replaying.read_rows(lines)
    if not rows:
        fail(f"{file} holds no attempts", FAILED)
    if bad:
        click.echo(f"neurolink: {bad} lines of {file.name} are no attempts, left out", err=True)
    report = {
        "recorded": replaying.recorded(rows).report(),
        strategy: replaying.replay(rows, strategy).report(),
    }
    print_report(form, report, lambda: printed(replay_table(report)))


def replay_table(report: Mapping[str, Mapping[str, Any]]) -> FittedTable:
    """Return the outcomes as a row a strategy."""
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable

    outcomes = report.values()
    served = (
        ", ".join(f"{label} {count}" for label, count in each["served"].items()) or "nobody"
        for each in outcomes
    )
    fields = (("requests", "requests"), ("429s met", "rateLimits"), ("refused", "refused"))
    return FittedTable(
        (
            Column("strategy", [Text(name) for name in report]),
            *(Column(title, [Text(str(o[name])) for o in outcomes]) for title, name in fields),
            Column("served by", [Text(each) for each in served], min_width=24),
        )
    )
