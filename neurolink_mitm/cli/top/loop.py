"""The loop of `neurolink top`: keys and answers in, actions and screens out."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.proxy.status import look
from neurolink_mitm.cli.top import actions
from neurolink_mitm.cli.top.keys import KeyReader
from neurolink_mitm.cli.top.screen import Frame
from neurolink_mitm.cli.top.state import (
    ANY,
    EXPLANATION,
    Account,
    Action,
    Choices,
    Quit,
    State,
    press,
)
from neurolink_mitm.cli.top.terminal import Terminal, TerminalGoneError
from neurolink_mitm.cli.top.threads import Doer, Poller
from neurolink_mitm.cli.ui.terminal import say
from neurolink_mitm.core.pool.families import family_of
from neurolink_mitm.core.providers.models import newest

FAMILIES = ("opus", "sonnet", "haiku", "fable")
PATIENCE = 7.0
"""Seconds that an action may take after the person has quit: more than a lock or a proxy is waited for."""
TICK = 1.5
"""Seconds after which the screen is drawn again: since when there is no answer is counted on it."""
ESCAPE_TIME = 0.05
"""Seconds within which a terminal sends the rest of a sequence; without one it was the Escape key."""


@dataclass
class Top:
    """The program, on a terminal."""

    terminal: Terminal
    home: Home
    port: int | None
    poller: Poller
    doer: Doer
    state: State = field(default_factory=State)
    keys: KeyReader = field(default_factory=KeyReader)

    def run(self) -> None:
        """Go on until the person quits, or the terminal is gone."""
        self.poller.start()
        self.doer.start()
        while True:
            self._draw()
            data = self.terminal.wait(ESCAPE_TIME if self.keys.waits else TICK)
            for key in self.keys.feed(data) if data else self.keys.flush():
                self.state, action = press(self.state, key, choices(self._report(), self.state))
                if isinstance(action, Quit):
                    return
                if action is not None:
                    self._begin(action)
            self._ask()
            while not self.doer.messages.empty():
                self.state = replace(self.state, message=self.doer.messages.get())
                self.poller.hurry()

    def _begin(self, action: Action) -> None:
        self.state = replace(self.state, message=actions.begun(action))
        rows = self._report().get("stats", {}).get("accounts", ())
        self.doer.do(partial(actions.done, action, self.home, self.port, time.time(), rows))

    def _ask(self) -> None:
        """Ask for what is shown, at once where it has changed."""
        query: dict[str, str] = {}
        if self.state.view == EXPLANATION:
            query = {"explain": "1"} | ({"model": self.state.model} if self.state.model else {})
        if query != self.poller.query:
            self.poller.query = query
            self.poller.hurry()

    def _report(self) -> dict[str, Any]:
        """Return the report on the screen; empty without one."""
        return self._frame().shown_report or {}

    def _frame(self) -> Frame:
        asked = self.poller.asked_at
        waited = time.monotonic() - asked if asked is not None else 0.0
        return Frame(self.state, self.poller.last, self.poller.report, waited, time.time())

    def _draw(self) -> None:
        self.terminal.draw(self._frame().lines(*self.terminal.size))


def choices(report: dict[str, Any], state: State) -> Choices:
    """Return the accounts of a report, and the models to explain: those in flight, and one of each family."""
    rows = report.get("stats", {}).get("accounts", ())
    asked = [each.get("model") for each in report.get("requests") or ()]
    models = [*(model for model in asked if model), *([state.model] if state.model else [])]
    families = {family_of(model) for model in models}
    rest = (newest(family) for family in FAMILIES if family not in families)
    accounts = [Account(each["key"], each["label"]) for each in rows]
    return Choices(accounts, list(dict.fromkeys((ANY, *models, *rest))))


def run(home: Home, port: int | None, interval: float) -> None:
    """Fill the terminal until the person quits."""
    logging.getLogger().addHandler(logging.NullHandler())  # lines would go through the screen
    terminal = Terminal(sys.stdin.fileno(), sys.stdout.fileno(), sys.stdout.encoding)
    poller = Poller(partial(look, port=port), interval, terminal.wake)
    doer = Doer(terminal.wake)
    with suppress(TerminalGoneError), terminal:
        Top(terminal, home, port, poller, doer).run()
    for message in doer.finish(PATIENCE):
        say(message)
