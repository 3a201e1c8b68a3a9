"""The command `python -m bench`."""

import asyncio
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import click
import psutil
from rich.console import Console
from rich.progress import Progress

from bench import processes, report, summary, targets
from bench.children import ROOT, StartError
from bench.measure import MeasureError
from bench.plan import FULL, QUICK, Plan, play
from bench.processes import Server
from bench.variants import DEFAULT, EARLIER, OPTIONS, earlier

Start = Callable[[int], AbstractContextManager[Server]]
"""Starts a proxy for the upstream on a port."""
PROXIES: dict[str, Start] = {"mitmdump": processes.mitmdump, DEFAULT: processes.neurolink}
ROWS = ("direct", *PROXIES)
VARIANTS: dict[str, Start] = {
    each.name: partial(processes.neurolink, variant=each) for each in OPTIONS
}
KNOWN = (*ROWS, *VARIANTS)
_JSON = ROOT / "bench" / "results" / "latest.json"
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPEN_FILES = 4096


def rows_of(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    rows = tuple(name.strip() for name in value.split(","))
    if unknown := set(rows) - set(KNOWN):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not among {', '.join(KNOWN)}")
    return tuple(name for name in KNOWN if name in rows)


def checkout_of(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    if value and not (value / "neurolink_mitm").is_dir():
        raise click.BadParameter(f"{value}: no checkout of NeuroLink")
    return value


@click.command()
@click.option("--quick", is_flag=True, help="A first look: 30 s, few rounds.")
@click.option("--rounds", type=click.IntRange(1, 100), help=f"Default: {FULL.rounds}.")
@click.option(
    "--requests", type=click.IntRange(1, 10_000), help=f"In each batch; default: {FULL.requests}."
)
@click.option("--rows", default=",".join(ROWS), show_default=True, callback=rows_of)
@click.option("--options", is_flag=True, help=f"Also {', '.join(VARIANTS)}, and their ratios.")
@click.option(
    "--against", type=_FOLDER, callback=checkout_of,
    help="Also an earlier NeuroLink: the folder of its checkout.",
)  # fmt: skip
@click.option("--json", "path", type=_FILE, default=_JSON, help="Result file.")
def main(
    quick: bool,
    rounds: int | None,
    requests: int | None,
    rows: tuple[str, ...],
    options: bool,
    against: Path | None,
    path: Path,
) -> None:
    """Measure what NeuroLink costs beside a direct connection and stock mitmdump.

    Example: python -m bench --rounds 3 --rows direct,mitmdump
    """
    starts = {**PROXIES, **VARIANTS}
    if options:
        rows = tuple(name for name in KNOWN if name in {*rows, DEFAULT, *VARIANTS})
    if against:
        starts[EARLIER] = partial(processes.neurolink, variant=earlier(against))
        rows = (*(name for name in KNOWN if name in {*rows, DEFAULT}), EARLIER)
    plan = QUICK if quick else FULL
    plan = replace(plan, rounds=rounds or plan.rounds, requests=requests or plan.requests)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    _raise_open_files()
    click.echo(f"Measuring {', '.join(rows)}; all figures go to {path}", err=True)
    try:
        result = run(plan, rows, starts)
    except (StartError, MeasureError, psutil.Error) as error:
        sys.exit("\n".join([f"bench: {error}", *getattr(error, "__notes__", ())]))
    except KeyboardInterrupt:
        click.echo("bench: interrupted", err=True)
        sys.exit(130)
    report.write_json(result, path)
    report.show(result, report.make_console())


def run(plan: Plan, rows: tuple[str, ...], starts: Mapping[str, Start]) -> report.Report:
    started = time.monotonic()
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.upstream())
        proxies = [
            stack.enter_context(start(upstream.port))
            for name, start in starts.items()
            if name in rows
        ]
        servers = [upstream, *proxies] if "direct" in rows else proxies
        progress = stack.enter_context(_progress())
        task = progress.add_task("rounds", total=plan.rounds)
        measured, slow = asyncio.run(
            play(plan, servers, lambda: progress.advance(task), slow_rows=PROXIES)
        )
    lines = summary.lines(measured, rows)
    own = [row for row in rows if row in (DEFAULT, *VARIANTS, EARLIER)]
    options = summary.option_lines(measured, own)
    return report.Report(
        rounds=lines[0].rounds,
        requests=plan.requests,
        seconds=time.monotonic() - started,
        lines=lines,
        options=options,
        measured=measured,
        slow=slow,
        targets=targets.verdicts(lines, slow, options),
    )


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _interrupt(_: int, __: FrameType | None) -> None:
    # Once only: a second Ctrl-C must not keep the children from being stopped.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _raise_open_files() -> None:
    """Raise the limit of open files, which children inherit: a slow stream takes two, macOS allows 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main(prog_name="python -m bench")
