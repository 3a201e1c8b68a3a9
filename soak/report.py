"""The table and the JSON file."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bench.report import machine
from bench.samples import percentile
from soak.checks import Verdict
from soak.evidence import Level
from soak.run import KINDS, WARM_UP, Course, Plan

_WIDTH = 120


@dataclass(frozen=True)
class Report:
    plan: Plan
    seconds: float
    load_seconds: float
    requests: int
    attempts: int
    endings: dict[str, int]
    statuses: dict[str, int]
    upstream: dict[str, int]
    cooldowns: dict[str, int]
    seconds_p50: float
    seconds_p99: float
    at_start: Level
    warmed_up: Level
    at_end: Level
    peak_rss_mb: float
    verdicts: Sequence[Verdict]

    @property
    def met(self) -> bool:
        return all(verdict.met for verdict in self.verdicts)


def make_report(plan: Plan, course: Course, verdicts: Sequence[Verdict], seconds: float) -> Report:
    evidence = course.evidence
    times = [result.seconds for result in evidence.results] or [0.0]
    return Report(
        plan=plan,
        seconds=round(seconds, 1),
        load_seconds=round(course.load_seconds, 1),
        requests=len(evidence.results),
        attempts=len(evidence.attempts),
        endings=_counts(result.ending for result in evidence.results),
        statuses=_counts(str(result.status or "none") for result in evidence.results),
        upstream=_counts(row.kind for row in evidence.attempts),
        cooldowns=_counts(str(row.account) for row in evidence.attempts if row.cooldown_ms),
        seconds_p50=round(percentile(times, 50), 3),
        seconds_p99=round(percentile(times, 99), 3),
        at_start=evidence.at_start,
        warmed_up=evidence.warmed_up,
        at_end=evidence.at_end,
        peak_rss_mb=course.peak_rss_mb,
        verdicts=verdicts,
    )


def _counts(words: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(words).most_common())


def make_console() -> Console:
    """Rich on a terminal, plain in a pipe, and wide enough for the table."""
    console = Console()
    console.width = max(console.width, _WIDTH)
    return console


def write_json(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"machine": machine(), "met": report.met, **asdict(report)}
    path.write_text(json.dumps(whole, indent=2) + "\n")


def show(report: Report, console: Console) -> None:
    console.print(_summary(report), highlight=False)
    console.print(_table(report.verdicts))
    for verdict in report.verdicts:
        if verdict.faults:
            console.print(f"\n{verdict.check}: NOT MET", style="red")
            console.print("\n".join(verdict.faults), markup=False, highlight=False)


def _summary(report: Report) -> str:
    plan, found = report.plan, machine()
    rate = report.requests / (report.load_seconds + WARM_UP)
    return (
        f"{report.requests} requests of {plan.clients} clients ({rate:.0f}/s), "
        f"{report.attempts} attempts on {len(KINDS)} accounts, "
        f"{sum(report.cooldowns.values())} cooldowns, in {report.seconds:.0f} s; "
        f"seed {plan.seed}, Python {found['python']}, mitmproxy {found['mitmproxy']}\n"
        f"answers p50 {report.seconds_p50:.2f} s, p99 {report.seconds_p99:.2f} s; "
        f"peak RSS {report.peak_rss_mb:.1f} MB\n"
        f"clients saw: {_listed(report.statuses)}\n"
        f"attempts were: {_listed(report.upstream)}\n"
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {word}" for word, count in counts.items())


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(box=box.HORIZONTALS, show_edge=False)
    for heading in ("", "check", "found"):
        table.add_column(heading)
    for verdict in verdicts:
        mark = "[green]met[/]" if verdict.met else "[red]NOT MET[/]"
        table.add_row(mark, verdict.check, verdict.found)
    return table
