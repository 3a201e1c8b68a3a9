"""What the dashboard sees of the proxy; what only the event loop of the flows may read, is read there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.core.settings.dashboard import DASHBOARD_PORT
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.in_flight import all_shown
from neurolink_mitm.core.status.status import begin_report
from neurolink_mitm.ports import Runtime

T = TypeVar("T")
Report = Mapping[str, Any]

LIMIT = 5.0
"""Seconds that the loop of the flows may take to answer."""


class BusyError(Exception):
    """The loop of the flows does not answer."""


@dataclass
class Site:
    """The running proxy, for pages and actions. All methods are called in threads other than that of the flows."""

    runtime: Runtime
    home: Home
    diagnose: Callable[[], Mapping[str, Any]] = dict
    """The report of `neurolink proxy doctor`; takes seconds. Doctor is a room beside this one."""
    network: Callable[[], Network] | None = None
    """How a login reaches the token endpoint."""
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    """That of the flows; set at the start."""

    @property
    def config(self) -> Config:
        return self.runtime.config

    @property
    def read_only(self) -> bool:
        return self.config.dashboard.read_only

    def dashboard_port(self, wanted: int) -> int:
        """Return the port to begin with: who starts the proxy on any free port gets any for the dashboard, too."""
        return 0 if self.any_port and wanted == DASHBOARD_PORT else wanted

    any_port: bool = False

    @property
    def audit(self) -> Audit:
        """The audit log, for what is done in the pages."""
        return Audit(self.home.logs, Actor.DASHBOARD, self.now)

    def now(self) -> float:
        return self.runtime.clock.now()

    def on_loop(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns on the loop of the flows. Raises what it raises, or `BusyError`."""
        done = threading.Event()
        outcome: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(ask())
            except BaseException as e:
                failure.append(e)
            done.set()

        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(run)
        except RuntimeError as e:  # the loop is closed
            raise BusyError("the proxy is stopping") from e
        if not done.wait(LIMIT):
            raise BusyError("the proxy does not answer")
        if failure:
            raise failure[0]
        return outcome[0]

    def status(self) -> Report:
        """Return the report of `/status`, with all requests."""
        finish = self.on_loop(lambda: begin_report(self.runtime, self.now(), all_shown))
        return finish()
