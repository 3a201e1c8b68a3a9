"""The command `python -m clustertest`."""

import asyncio
import json
import signal
import sys
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import SubprocessError

import click

from bench.children import ROOT, StartError
from clustertest.figures import FULL, SHORT, Figure
from clustertest.report import make_console, show, show_all
from clustertest.scenarios import SCENARIOS

_JSON = ROOT / "clustertest" / "results" / "latest.json"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@click.option(
    "--only",
    default="",
    metavar="N,…",
    help="The scenarios to run, by their numbers; default: all.",
)
@click.option("--short", is_flag=True, help="Smaller and shorter, and lenient with times.")
@click.option(
    "--sessions", type=click.IntRange(1), help=f"Of scenario 9; default: {FULL.sessions}."
)
@click.option("--json", "path", type=_FILE, default=_JSON, help="Result file.")
def main(only: str, short: bool, sessions: int | None, path: Path) -> None:
    """Run three replicas behind HAProxy, with Redis, and count at the upstream what they promise together.

    Example: python -m clustertest --only 1,5
    """
    for each in _SIGNALS:
        signal.signal(each, _break_off)
    numbers = {int(n) for n in only.split(",") if n} or set(SCENARIOS)
    if unknown := numbers - set(SCENARIOS):
        raise click.BadParameter(f"no scenario {', '.join(map(str, sorted(unknown)))}")
    scale = SHORT if short else FULL
    scale = replace(scale, sessions=sessions or scale.sessions)
    console = make_console()
    found: dict[int, list[Figure]] = {}
    rows: list[tuple[int, str, list[Figure], float]] = []
    for number in sorted(numbers):
        title, run = SCENARIOS[number]
        click.echo(f"{number}. {title} …", err=True)
        began = time.monotonic()
        try:
            found[number] = asyncio.run(run(scale))
        except (StartError, OSError, LookupError, ValueError, SubprocessError) as error:
            found[number] = [Figure("the scenario", _words(error), "runs to its end", False)]
        except KeyboardInterrupt:
            sys.exit(130)
        rows.append((number, title, found[number], time.monotonic() - began))
        show(*rows[-1], console)
    show_all(rows, console)
    met = {n: all(f.met for f in figures) for n, figures in found.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {n: {"met": met[n], "figures": [asdict(f) for f in fs]} for n, fs in found.items()}
    path.write_text(json.dumps(results, indent=2) + "\n")
    failed = [str(n) for n, good in met.items() if not good]
    click.echo(f"failed: {', '.join(failed)}" if failed else f"all {len(met)} hold")
    sys.exit(1 if failed else 0)


def _break_off(number: int, frame: object) -> None:
    """Break off once: a second Ctrl-C would keep processes from being ended."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _words(error: Exception) -> str:
    """Return what broke off a scenario, and where."""
    here = [f for f in traceback.extract_tb(error.__traceback__) if "clustertest" in f.filename]
    where = f"{Path(here[-1].filename).name}:{here[-1].lineno} {here[-1].name}" if here else ""
    notes = " ".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__} {error} at {where}. {notes}"


if __name__ == "__main__":
    main(prog_name="python -m clustertest")
