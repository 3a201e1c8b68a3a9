"""The screen of `neurolink top` as lines: the report, and below it what is asked, what happened, and the keys."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from neurolink_mitm.cli.proxy.live_text import LiveStatus
from neurolink_mitm.cli.proxy.status import StatusResult
from neurolink_mitm.cli.proxy.status_text import down_view
from neurolink_mitm.cli.top import state
from neurolink_mitm.cli.top.state import State
from neurolink_mitm.cli.top.threads import Answer
from neurolink_mitm.cli.ui.exits import NOT_RUNNING
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import countdown
from neurolink_mitm.core.logs.timestamps import local_time

SLOW = 1.5
"""Seconds without an answer from which on the screen says so."""
BUSY, BAD = "yellow", "red"
WIDE = 76
"""Characters that the longer list of keys needs."""
LONG = "↑↓ select  p pause  r resume  x reset  e explain  m model  ? help  q quit"
SHORT = "p pause  r resume  x reset  ? help  q"
HELP = """\
↑ ↓ k j      select an account; Home and End: the first, the last
p            pause it: no new requests for an hour, two, or until
             it is resumed; answers in flight are not cut
r            resume it
x            reset it: forget its cooldowns, ask it again
e            explain who serves the next request, and why not the others
m            explain it for another model
?            these keys; Esc goes back
q Esc Ctrl-C quit"""


@dataclass(frozen=True, slots=True)
class Frame:
    """All that is drawn."""

    state: State
    last: Answer | None
    """The last answer, with or without a report."""
    report: Answer | None
    """The last one with a report."""
    waited: float
    """Seconds since a question was asked that has no answer yet; 0 without one."""
    now: float

    def lines(self, width: int, height: int) -> list[str]:
        """Return at most `height` lines with ANSI sequences, none wider than `width`; the last ones are the keys."""
        footer = _rendered(Group(*self._footer(width)), width, height)
        footer = footer[-max(1, height // 2) :]
        room = height - len(footer)
        body = self._body_lines(width, room) if room else []
        return [*body, *[""] * (room - len(body)), *footer]

    def _body_lines(self, width: int, height: int) -> list[str]:
        try:
            return _rendered(self._body(), width, height)[:height]
        except (LookupError, TypeError, ValueError, AttributeError) as e:  # of another version
            text = Text(f"the report can't be shown: {printable(repr(e))}", style=BAD)
            return _rendered(text, width, height)[:height]

    def _body(self) -> RenderableType:
        if self.state.view == state.HELP:
            return Text(HELP)
        if self.last is None and self.report is None:
            return Text("asking the proxy …")
        if self.down is not None:
            return down_view(f"{self.down.why}\nstill watching; q quits", self.down.left_over)
        return self._report(report) if (report := self.shown_report) else Text("no report yet")

    @property
    def down(self) -> StatusResult | None:
        """Why no proxy runs; None where one does, whether it answers or not."""
        result = self.last.result if self.last else None
        return result if result and result.report is None and result.code == NOT_RUNNING else None

    @property
    def shown_report(self) -> dict[str, Any] | None:
        """The report on the screen: the last one, while the proxy runs."""
        return self.report.result.report if self.report and self.down is None else None

    def _report(self, report: dict[str, Any]) -> RenderableType:
        rows = [state.Account(each["key"], each["label"]) for each in report["stats"]["accounts"]]
        account = state.selected(self.state, rows)
        key = account.key if account else ""
        if self.state.view != state.EXPLANATION:
            plain = {name: value for name, value in report.items() if name != "explain"}
            return LiveStatus(plain, self.now, key)
        assert self.report is not None
        if "explain" not in report or self.report.query.get("model") != self.state.model:
            return Text("asking the proxy …")
        return LiveStatus(report, self.now, key)

    def _footer(self, width: int) -> Iterator[Text]:
        if self.state.view == state.EXPLANATION:
            model = printable(self.state.model or "any model")
            yield Text(f"who serves {model}, and why not the others (m: another model)")
        if late := self._late():
            yield Text(late, style=BAD)
        if self.state.question:
            yield Text(_question(self.state.question), style=f"bold {BUSY}")
        elif self.state.message:
            yield Text(printable(self.state.message), style="bold")
        keys = Text(LONG if width >= WIDE else SHORT, style="reverse", no_wrap=True)
        keys.truncate(width, overflow="ellipsis")
        yield keys

    def _late(self) -> str:
        """Return since when the proxy has not answered; empty where it has, or does not run."""
        failed = self.last is not None and self.last.result.report is None
        if self.down or not (failed or self.waited > SLOW):
            return ""
        if self.report is None:
            why = self.last.result.why if self.last else f"no answer for {self.waited:.0f} s"
            return printable(why)
        ago = countdown(max(0.0, self.now - self.report.at))
        why = f": {self.last.result.why}" if failed and self.last else ""
        return printable(f"no answer since {local_time(self.report.at)}, {ago} ago{why}")


def _question(question: state.Question) -> str:
    label = question.account.label
    if question.about == state.PAUSE:
        return f"pause {label!r}: 1 for 1 h, 2 for 2 h, u until resumed; Esc: no"
    return f"reset {label!r}: forget its cooldowns? y/n"


def _rendered(content: RenderableType, width: int, height: int) -> list[str]:
    """Return the lines with ANSI sequences; without colours where NO_COLOR is set."""
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, height=max(1, height),
        markup=False, emoji=False, highlight=False,
    )  # fmt: skip
    with console.capture() as captured:
        console.print(content)
    lines = captured.get().split("\n")
    return lines[:-1] if lines[-1] == "" else lines
