"""The command `python -m bench`."""

import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from bench import report
from bench.children import ROOT
from bench.parts import PARTS, run_parts
from bench.plan import FULL, QUICK, Plan
from bench.rows import KNOWN, OPTION_NAMES, ROWS, Rows
from bench.variants import DEFAULT

_JSON = ROOT / "bench" / "results" / "latest.json"
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPEN_FILES = 4096
_FILES_BESIDE_STREAMS = 200


def rows_of(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return _chosen(value, KNOWN)


def parts_of(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return _chosen(value, PARTS)


def _chosen(value: str, known: Sequence[str]) -> tuple[str, ...]:
    names = {name.strip() for name in value.split(",")}
    if unknown := names - set(known):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
    return tuple(name for name in known if name in names)


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
@click.option("--only", "parts", default=",".join(PARTS), callback=parts_of, help="Parts to run.")
@click.option("--rows", default=",".join(ROWS), show_default=True, callback=rows_of)
@click.option("--options", is_flag=True, help=f"Also {', '.join(OPTION_NAMES)}, and their ratios.")
@click.option(
    "--against", type=_FOLDER, callback=checkout_of,
    help="Also an earlier NeuroLink: the folder of its checkout.",
)  # fmt: skip
@click.option("--json", "path", type=_FILE, default=_JSON, help="Result file.")
def main(
    quick: bool,
    rounds: int | None,
    requests: int | None,
    parts: tuple[str, ...],
    rows: tuple[str, ...],
    options: bool,
    against: Path | None,
    path: Path,
) -> None:
    """Measure what NeuroLink costs beside a direct connection and stock mitmdump.

    \b
    plain     requests over plain HTTP
    tls       the same, with upstream over TLS
    latency   the first byte of an upstream 50 ms away
    slow      many slow streams at once
    accounts  many accounts to choose from
    console   a line for each step on the console
    chat      the same request in the form of OpenAI's chat

    Example: python -m bench --only tls,latency --rows direct,neurolink
    """
    plan = QUICK if quick else FULL
    plan = replace(plan, rounds=rounds or plan.rounds, requests=requests or plan.requests)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    plan = _within_open_files(plan)
    rows = _compared(rows, options=options, against=against)
    click.echo(f"Measuring {', '.join(parts)}; all figures go to {path}", err=True)
    started = time.monotonic()
    try:
        with _progress() as begin:
            results = run_parts(parts, plan, Rows(rows, against), begin)
    except KeyboardInterrupt:
        click.echo("bench: interrupted", err=True)
        sys.exit(130)
    result = report.make_report(results, time.monotonic() - started)
    report.write_json(result, path)
    report.show(result, report.make_console())
    sys.exit(1 if result.faults else 0)


def _compared(rows: tuple[str, ...], *, options: bool, against: Path | None) -> tuple[str, ...]:
    """Return the rows with those that they are compared with, in the order of the report."""
    added = {DEFAULT} if options or against else set()
    added |= set(OPTION_NAMES) if options else set()
    return tuple(name for name in KNOWN if name in {*rows, *added}) if added else rows


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows which part begins."""
    console = Console(stderr=True)
    with console.status("starting") as status:
        yield lambda part: status.update(part)


def _interrupt(_: int, __: FrameType | None) -> None:
    # Once only: a second Ctrl-C must not keep the children from being stopped.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _within_open_files(plan: Plan) -> Plan:
    """Raise the limit of open files, which children inherit, and leave out streams that exceed it.

    A slow stream takes two; macOS allows 256 at first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    streams = min(plan.crowd.streams, (wanted - _FILES_BESIDE_STREAMS) // 2)
    if streams < plan.crowd.streams:
        click.echo(f"bench: {streams} slow streams only: {wanted} open files", err=True)
    return replace(plan, crowd=replace(plan.crowd, streams=streams))


if __name__ == "__main__":
    main(prog_name="python -m bench")
