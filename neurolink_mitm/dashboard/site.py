"""What the dashboard sees of the proxy; what only the event loop of the flows may read, is read there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from neurolink_mitm.accounts.browser_logins import Logins
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.token_store import TokenStore, open_store
from neurolink_mitm.config.sources import SourceOptions
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.core.settings.dashboard import DASHBOARD_PORT
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.held import held_report
from neurolink_mitm.core.status.in_flight import InFlight, all_shown
from neurolink_mitm.core.status.status import begin_report
from neurolink_mitm.dashboard.failures import BusyError as BusyError
from neurolink_mitm.dashboard.forgotten import Forgotten
from neurolink_mitm.dashboard.jobs import Jobs
from neurolink_mitm.dashboard.mails import Mails
from neurolink_mitm.dashboard.rates import Rates
from neurolink_mitm.dashboard.rates import Report as Report
from neurolink_mitm.ports import Runtime

T = TypeVar("T")

VISITOR: ContextVar[str] = ContextVar("visitor", default="")
"""The name of the session whose request is answered; it says nothing about the session's halves."""
LIMIT = 5.0
"""Seconds that the loop of the flows may take to answer."""


@dataclass
class Site:
    """The running proxy, for pages and actions. All methods are called in threads other than that of the flows."""

    runtime: Runtime
    home: Home
    diagnose: Callable[[], Mapping[str, Any]] = dict
    """The report of `neurolink proxy doctor`; takes seconds. Doctor is a room beside this one."""
    bundle: Callable[[], Mapping[str, str]] = dict
    """The texts of its support bundle, without secrets."""
    browsers: Callable[[], int] = int
    """How many browsers look at pages that change by themselves."""
    network: Callable[[], Network] | None = None
    """How a login reaches the token endpoint."""
    options: SourceOptions | None = None
    """What the command line said of the files; None in tests."""
    open_store: Callable[[], TokenStore] | None = None
    """Opens the token store of this home."""
    serves_home: bool = True
    """Whether the accounts are those of the home; False: the sandbox's, which nobody can change."""
    any_port: bool = False
    """Whether the proxy was started on any free port: then the dashboard gets any, too."""
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    """That of the flows, while the dashboard runs."""
    jobs: Jobs = field(init=False, repr=False)
    """What takes seconds."""
    mails: Mails = field(default_factory=Mails, repr=False)
    """The mail addresses that pages show masked."""
    rates: Rates = field(default_factory=Rates, repr=False)
    """Those of the responses in flight."""
    logins: Logins = field(default_factory=Logins, repr=False)
    """The logins that were begun in pages."""
    forgotten: Forgotten = field(default_factory=Forgotten, repr=False)
    """The cooldowns that were forgotten by an action, for its undo."""
    _asked: set[Future[Any]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.now)

    @property
    def config(self) -> Config:
        return self.runtime.config

    @property
    def read_only(self) -> bool:
        return self.config.dashboard.read_only

    def dashboard_port(self, wanted: int) -> int:
        """Return the port to begin with."""
        return 0 if self.any_port and wanted == DASHBOARD_PORT else wanted

    @property
    def visitor(self) -> str:
        """Whose request this is."""
        return VISITOR.get()

    @property
    def sources(self) -> SourceOptions:
        """What the proxy is made from."""
        return self.options or SourceOptions(self.runtime.environ)

    @property
    def audit(self) -> Audit:
        """The audit log, for what is done in the pages."""
        return Audit(self.home.logs, Actor.DASHBOARD, self.now)

    @property
    def store(self) -> TokenStore:
        """The token store, opened anew: another object than the proxy's, which is to notice each change."""
        opened = self.open_store or (lambda: open_store(self.home, self.runtime.environ))
        return opened()

    @property
    def config_file(self) -> Path:
        """The configuration file, which may be missing."""
        path = self.runtime.config_path
        return Path(path) if path else self.home.config

    def now(self) -> float:
        return self.runtime.clock.now()

    def on_loop(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns on the loop of the flows. Raises what it raises, or `BusyError`.

        After a `BusyError` it has not been run, and will not be.
        """
        asked: Future[T] = Future()

        def run() -> None:
            if not asked.set_running_or_notify_cancel():
                return
            try:
                asked.set_result(ask())
            except BaseException as e:
                asked.set_exception(e)

        self._asked.add(asked)
        try:
            self._call(run)
            return self._answer(asked)
        finally:
            self._asked.discard(asked)

    def stop(self) -> None:
        """End the waiting of those who ask the loop, which goes on to something else."""
        self.loop = None
        self.jobs.stop()
        for asked in tuple(self._asked):
            asked.cancel()

    def in_flight(self) -> Report:
        """Return the requests in flight, as in the report of `/status`."""
        runtime, now = self.runtime, self.now()
        if not runtime.in_flight:  # what most looks find, without a word to the loop
            return {**InFlight().report(now), "held": []}
        return self.on_loop(
            lambda: {
                **runtime.in_flight.report(now, room=runtime.waiting),
                "held": held_report(runtime.waiting, runtime.pool, now),
            }
        )

    def status(self) -> Report:
        """Return the report of `/status`, with all requests."""
        finish = self.on_loop(lambda: begin_report(self.runtime, self.now(), all_shown))
        return finish()

    def _call(self, run: Callable[[], None]) -> None:
        try:
            if self.loop is None:
                raise BusyError("the proxy is stopping")
            self.loop.call_soon_threadsafe(run)
        except RuntimeError as e:  # the loop is closed
            raise BusyError("the proxy is stopping") from e

    @staticmethod
    def _answer(asked: Future[T]) -> T:
        try:
            return asked.result(LIMIT)
        except CancelledError as e:
            raise BusyError("the proxy is stopping") from e
        except TimeoutError as e:
            if asked.cancel():
                raise BusyError("the proxy does not answer") from e
            return asked.result()  # it has begun, so that its end has to be known
