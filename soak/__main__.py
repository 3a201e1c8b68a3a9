"""The command `python -m soak`."""

import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click
import psutil

from bench.children import ROOT, StartError
from soak import checks, report
from soak.run import LEAST, Plan, soak

_JSON = ROOT / "soak" / "results" / "latest.json"
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(LEAST), default=125, show_default=True, help="At most."
)
@click.option("--clients", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--seed", type=int, default=None, help="To fail in the same way again.")
@click.option("--json", "path", type=_FILE, default=_JSON, help="Result file.")
def main(seconds: float, clients: int, seed: int | None, path: Path) -> None:
    """Let many clients at NeuroLink while its accounts fail, and check what it promises.

    Example: python -m soak --seconds 300 --clients 100 --seed 7
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    plan = Plan(seconds, clients, int(time.time()) % 100_000 if seed is None else seed)
    started = time.monotonic()
    try:
        course = soak(plan, lambda line: click.echo(line, err=True))
    except (StartError, psutil.Error, OSError) as error:
        sys.exit("\n".join([f"soak: {error}", *getattr(error, "__notes__", ())]))
    except KeyboardInterrupt:
        click.echo("soak: interrupted", err=True)
        sys.exit(130)
    verdicts = checks.verdicts(course.evidence)
    result = report.make_report(plan, course, verdicts, time.monotonic() - started)
    report.write_json(result, path)
    report.show(result, report.make_console())
    sys.exit(0 if result.met else 1)


def _interrupt(_: int, __: FrameType | None) -> None:
    # once only: a second Ctrl-C must not keep the children from being stopped
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(prog_name="python -m soak")
