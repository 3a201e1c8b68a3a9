"""Lines of `neurolink proxy status` about the process itself, and how Claude Code comes to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text

from neurolink_mitm.cli.render import duration
from neurolink_mitm.core.console import printable
from neurolink_mitm.core.when import clock

Report = Mapping[str, Any]

BUSY = "yellow"


def other_lines(report: Report) -> Iterable[Text]:
    """Other proxies of this home."""
    for each in report.get("proxies") or ():
        if each["pid"] != report["pid"]:
            program = f"{each['program']}, " if each["program"] != "neurolink" else ""
            yield Text(
                f"another one runs on {each['url']} ({program}pid {each['pid']}):"
                " --port shows it, or stops it",
                style=BUSY,
            )


def loop_lines(loop: Report | None) -> Iterable[Text]:
    """How late the event loop is: all streams wait for it."""
    if not loop:
        return
    lag = loop["lagMs"]
    yield Text(f"loop: lag p50 {lag['p50']:g} ms, p99 {lag['p99']:g} ms, longest {lag['max']:g} ms")
    if last := loop.get("lastStall"):
        where = f" at {printable(last['stack'][0])}" if last["stack"] else ""
        stood = f"stood still {loop['stalls']} times, last at {clock(last['at'])}"
        yield Text(f"loop: {stood} for {last['ms']} ms{where}", style=BUSY)
    if last := loop.get("lastPause"):
        until = clock(last["at"])
        stood = f"did not run for {duration(last['ms'] / 1000)} until {until}"
        yield Text(f"the process {stood}: stopped, or asleep", style=BUSY)


def claude_code_lines(attached: Report | None) -> Iterable[Text]:
    """When Claude Code was detached from it, and why."""
    if not attached:
        return
    for outage in attached.get("outages") or ():
        span = f"{clock(outage['since'])} to {clock(outage['until'])}"
        yield Text(f"Claude Code: detached {span} because {outage['why']}", style=BUSY)
    if away := attached.get("detached"):
        since = f"detached since {clock(away['since'])} because {away['why']}"
        yield Text(f"Claude Code: {since}; it comes back when that answers", style=BUSY)
