"""What every test gets: an environment that holds nothing of the tester's."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests import needs, quick_clients
from tests.cli.processes import Shell
from tests.leaks import Leaks, listen_to_logins
from tests.translator.running import Running

# "ours" gives the same answer for the same tree, with a third of the usual examples. "search" looks for
# what those don't meet: HYPOTHESIS_PROFILE=search make test. On a busy machine one may take any time.
settings.register_profile("ours", max_examples=30, deadline=None, derandomize=True, database=None)
settings.register_profile("search", max_examples=1500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ours"))

# Thousands of tests, and what they import, stay to the end: to look through them again and again
# takes seconds.
gc.set_threshold(50_000)

_NUMBERS = itertools.count()
_TRANSLATOR = ("tests/translator/", "tests/flows/test_fallback.py", "tests/flows/test_fallback_and_back.py",
               "tests/flows/test_fallback_claude_code.py", "tests/flows/test_fallback_ids.py")  # fmt: skip
"""Where the fixture `translator` is used: to start one takes seconds of CPU."""
_FOREIGN = ("ANTHROPIC_", "CLAUDE_", "NEUROLINK_", "OPENAI_", "OTEL_")


# nohup has the one ignored, a script's background job the other, and what tests start inherits that
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# wherever the tester is; a test of zones asks for another
os.environ["TZ"] = "UTC"
time.tzset()

quick_clients.share_certificates()

LEAKS = Leaks()
"""Secrets that this run wrote down: in a home, a log, an output of a process, or in what tests themselves said."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(needs)


def pytest_xdist_auto_num_workers() -> int:
    """Most tests wait for processes that they have started: two at once for each core."""
    return min(8, 2 * (os.cpu_count() or 1))


class _Scheduling(LoadFileScheduling):
    """The tests of a file stay together, and so do files whose tests share the translator."""

    def _split_scope(self, nodeid: str) -> str:
        return "translator" if nodeid.startswith(_TRANSLATOR) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no process is left alone with one at the end.

    Those are the ones that say so, and then those with many tests that start commands or servers.
    """
    limits: Counter[Path] = Counter()
    starts: Counter[Path] = Counter()
    for item in items:
        mark = item.get_closest_marker("timeout")
        limits[item.path] = max(limits[item.path], mark.args[0] if mark else 0)
        fixtures: Sequence[str] = getattr(item, "fixturenames", ())
        starts[item.path] += 4 * ("shell" in fixtures) + ("sandbox" in fixtures)
    items.sort(key=lambda item: (-limits[item.path], -starts[item.path]))


def pytest_collection_finish() -> None:
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        listen_to_logins(LEAKS, patch)
        yield
    LEAKS.look_below(tmp_path_factory.getbasetemp())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for title, said in report.sections:
        LEAKS.look_at(f"{report.nodeid}: {title}", said.encode())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of the processes that share the tests has ended, and tells what it found."""
    LEAKS.found += getattr(node, "workeroutput", {}).get("leaks", [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = LEAKS.found
    if LEAKS.found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """By place only: a failing fixture would have pytest print what the last test said."""
    if LEAKS.found:
        terminalreporter.section("secrets were written down", red=True)
    for place in LEAKS.found:
        terminalreporter.line(place)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own; no keys, no proxies, nobody's settings."""
    for name in os.environ:
        if name.startswith(_FOREIGN) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = _homes / str(next(_NUMBERS))
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NEUROLINK_HOME", str(home / ".neurolink"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home / ".claude"))
    return home


@pytest.fixture(autouse=True)
def _without_playwrights_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the event loop that Playwright leaves running in this thread: no other could run beside it."""
    if "browser" in request.fixturenames:
        yield
        return
    playwrights = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(playwrights)


@pytest.fixture
def in_kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Half past five when it is noon in UTC."""
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A place to run the command in, with a home of its own."""
    with Shell(tmp_path / "shell") as shell:
        yield shell


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The real one, ready; whoever uses it says where providers are."""
    with Running(tmp_path_factory.mktemp("translator")) as running:
        yield running
