"""`python -m tools.fuzz`: see the package's docstring."""

from __future__ import annotations

import logging
import re
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Flaky, HypothesisWarning

from bench.children import StartError
from soak.processes import workplace
from tools.fuzz import live, pure
from tools.fuzz.pure import Target
from tools.fuzz.verdict import Diagnostic

RESULTS = Path(__file__).parent / "results"
"""Examples that have failed: a later run begins with them."""
ROUND = 20.0
"""Seconds that a target has before the next one's turn; those that ask a real proxy have four times as many."""
EXAMPLES = 50
PHASES = (Phase.reuse, Phase.generate, Phase.target, Phase.shrink)


@dataclass
class Course:
    """What became of a target."""

    target: Target
    examples: int = 0
    seconds: float = 0.0
    unsteady: int = 0
    latest: object = None
    findings: list[str] = field(default_factory=list)

    def round(self, number: int, until: float) -> None:
        """New examples until then; what is found is printed in its smallest form."""
        began = time.monotonic()
        while time.monotonic() < until:
            number += 1
            try:
                self._run(number)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # whatever it is, it is what is looked for
                self._note(error)
                break
        self.seconds += time.monotonic() - began

    def _run(self, number: int) -> None:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=DirectoryBasedExampleDatabase(RESULTS),
            suppress_health_check=list(HealthCheck),
            phases=PHASES if self.target.small else PHASES[:-1],
            report_multiple_bugs=False,
        )
        @seed(number)
        @given(self.target.strategy)
        def test(case: object) -> None:
            self.examples += 1
            self.latest = case
            self.target.run(case)

        test()

    def _note(self, error: BaseException) -> None:
        if isinstance(error, Flaky):  # a burst of others' work: it was not so again
            self.unsteady += 1
            return
        text = f"{type(error).__name__}: {error}"[:4000]
        place = "" if isinstance(error, Diagnostic) else f"\n  at {_place(error)}"
        key = place or text
        if key not in self.findings:
            self.findings.append(key)
            click.echo(f"{self.target.name}: {text}{place}\n  of {folded(self.latest)}\n", err=True)


def folded(case: object) -> str:
    """Its smallest form, on one line, with what is repeated written once."""
    text = re.sub(r"(.{1,80}?)\1{9,}", _times, repr(case))
    return text if len(text) < 3000 else f"{text[:1500]} … {text[-1500:]}"


def _times(match: re.Match[str]) -> str:
    return f"⟨{match[1]}⟩×{len(match[0]) // len(match[1])}"


def _place(error: BaseException) -> str:
    """The innermost line of the project."""
    places, trace = [], error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if "neurolink_mitm" in code.co_filename:
            places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(places[-4:])) or "(outside the project)"


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=10, show_default=True)
@click.option("--only", multiple=True, help="Targets by name; all if none is named.")
@click.option("--seed", "first", type=int, default=None, help="To make the same inputs again.")
def main(minutes: float, only: Sequence[str], first: int | None) -> None:
    """Throw hostile and broken bytes at NeuroLink, and say what gave way.

    Example: python -m tools.fuzz --minutes 60
    """
    warnings.simplefilter("ignore", HypothesisWarning)
    logging.disable()  # what readers say of broken files
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the proxy would be left behind
    number = int(time.time()) if first is None else first
    click.echo(f"seed {number}", err=True)
    end = time.monotonic() + minutes * 60
    courses: list[Course] = []
    after = ""
    with workplace() as home:
        try:
            with live.lab(home) as lab:
                courses = [
                    Course(t)
                    for t in (*live.targets(lab), *pure.TARGETS)
                    if not only or t.name in only
                ]
                _rounds(courses, number, end, lab)
                after = lab.finish()
        except StartError as error:
            sys.exit(f"fuzz: {error}")
        except Diagnostic as error:
            courses[-1].findings.append(str(error))
            after = str(error)
    for course in courses:
        click.echo(
            f"{course.target.name:14} {course.examples:8} examples {course.seconds:7.0f} s"
            f"  {len(course.findings)} findings"
        )
    click.echo(after)
    sys.exit(1 if any(course.findings for course in courses) else 0)


def _rounds(courses: Sequence[Course], number: int, end: float, lab: live.Lab) -> None:
    rounds = 0
    while time.monotonic() < end:
        for course in courses:
            number += 1_000_000
            seconds = ROUND if course.target.small else 4 * ROUND
            course.round(number, min(end, time.monotonic() + seconds))
        rounds += 1
        if rounds == 1:
            lab.warmed_up()


if __name__ == "__main__":
    main(prog_name="python -m tools.fuzz")
