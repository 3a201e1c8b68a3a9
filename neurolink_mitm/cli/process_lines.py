"""Lines of `neurolink proxy status` about the process itself, and how Claude Code comes to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text

from neurolink_mitm.cli.render import duration
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.timestamps import clock

Report = Mapping[str, Any]

BUSY = "yellow"


def loop_lag(report: Report) -> str:
    """Behind what else the head says: in the last minute, for 99 of 100 turns of the loop."""
    lag = (report.get("loop") or {}).get("lagMs")
    return f", lag {lag['p99']:g} ms" if lag and lag["max"] else ""


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
    """That the event loop stood still, for which all streams wait, or the whole process did."""
    if not loop:
        return
    if last := loop.get("lastStall"):
        where = f" at {printable(last['stack'][0])}" if last["stack"] else ""
        often = f"{loop['stalls']} time{'s' * (loop['stalls'] != 1)}"
        stood = f"stood still {often}, last at {clock(last['at'])}"
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
