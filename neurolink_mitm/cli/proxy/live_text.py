"""What `proxy status --watch` and `top` show on a terminal: as much of the report as it has lines for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from neurolink_mitm.cli.proxy.explain_text import explain_view
from neurolink_mitm.cli.proxy.status_text import Detail, status_view
from neurolink_mitm.cli.ui.windows import windows_of

DETAILS = (
    Detail(requests=20),
    Detail(requests=10, errors=False),
    Detail(requests=10, errors=False, windows=False),
    *(Detail(requests=5, errors=False, windows=False, accounts=n) for n in (40, 25, 15, 10, 7, 5)),
    Detail(requests=3, errors=False, windows=False, accounts=3),
    *(Detail(requests=n, errors=False, windows=False, accounts=3, brief=True) for n in (3, 2, 0)),
    Detail(errors=False, windows=False, accounts=1, brief=True),
)
"""From all to little: the first that fits is shown."""
EXPLAINED = (None, 40, 25, 15, 10, 7, 5, 3, 1)
"""Accounts that an explanation has, from all to one: likewise."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """A report that is drawn as high as the terminal at the most."""

    report: Mapping[str, Any]
    now: float
    selected: str | None = None
    """The key of the account that is marked, and never left out."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view: RenderableType = ""
        for view in self._views(options.max_height):
            if len(console.render_lines(view, options)) <= options.max_height:
                break
        yield view

    def _views(self, height: int) -> Iterator[RenderableType]:
        """Yield views, the next one smaller, from the first that is not too high by its rows alone."""
        if "explain" in self.report:
            for most in EXPLAINED:
                yield explain_view(self.report, self.now, most, self.selected)
            return
        accounts = self.report["stats"]["accounts"]
        windows = sum(1 for account in accounts for _ in windows_of(account))
        for detail in DETAILS:
            rows = min(len(accounts), detail.accounts or len(accounts)) + windows * detail.windows
            if rows < height or detail is DETAILS[-1]:
                yield status_view(self.report, self.now, replace(detail, selected=self.selected))
