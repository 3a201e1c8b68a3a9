from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from neurolink_mitm.config import reloader as file_watch
from neurolink_mitm.config.reloader import FileWatch, Reloader
from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Routing, Timeouts
from neurolink_mitm.core.shaping.pipeline import Pipeline
from neurolink_mitm.dataplane.threads import SHORT
from neurolink_mitm.ports import Runtime
from tests.fakes import NOW, make_account, make_runtime
from tests.waiting import LIMIT


def replaced(path: Path, text: str) -> None:
    """As editors do it."""
    other = path.with_name(f"{path.name}.new")
    other.write_text(text)
    other.rename(path)


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


async def told(path: Path, change: Callable[[], object]) -> None:
    """Returns once the change has been noticed."""
    async with asyncio.timeout(LIMIT), aclosing(FileWatch([path]).changes()) as changes:
        noticed = asyncio.ensure_future(anext(changes))
        for _ in range(20):  # turns of the loop, in which it begins to listen
            await asyncio.sleep(0)
        change()
        await noticed


@pytest.mark.parametrize("write", [in_place, replaced])
async def test_a_file_that_is_written(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    await told(path, lambda: write(path, "another"))


@pytest.mark.parametrize("write", [in_place, replaced])
async def test_one_behind_a_link(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    target.write_text("one")
    link.symlink_to(target)
    await told(link, lambda: write(target, "another"))


async def test_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    """As Kubernetes exchanges a mounted file: by the link to its directory."""
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    data, link = tmp_path / "..data", tmp_path / "file"
    data.symlink_to("one")
    link.symlink_to("..data/file")

    def exchange() -> None:
        (tmp_path / "new").symlink_to("another")
        os.replace(tmp_path / "new", data)

    await told(link, exchange)


async def test_then_what_it_leads_to_is_watched(tmp_path: Path) -> None:
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one/file")
    async with asyncio.timeout(LIMIT), aclosing(FileWatch([link]).changes()) as changes:
        replaced_link = tmp_path / "new"
        replaced_link.symlink_to("another/file")
        os.replace(replaced_link, link)
        await anext(changes)
        (tmp_path / "another" / "file").write_text("changed once more")
        await anext(changes)


async def test_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    await told(path, lambda: path.write_text("there"))
    await told(path, path.unlink)


async def test_a_change_before_it_was_listened_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    watch = FileWatch([path])
    path.write_text("there")
    async with asyncio.timeout(LIMIT), aclosing(watch.changes()) as changes:
        await anext(changes)


async def test_what_happens_beside_is_not_told(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    watch = FileWatch([path])
    async with aclosing(watch.changes()) as changes:
        task = asyncio.ensure_future(anext(changes))
        other.write_text("x")
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert not done
        path.write_text("x")
        await asyncio.wait_for(task, LIMIT)


async def test_a_directory_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurolink_mitm.config.reloader.AT_LEAST", 0.05)
    path = tmp_path / "later" / "file"

    def create() -> None:
        path.parent.mkdir()
        path.write_text("there")

    await told(path, create)


async def test_where_nothing_can_be_watched_it_looks_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine has 128 watchers for each user, and a process so many open files."""
    monkeypatch.setattr(file_watch, "AT_LEAST", 0.1)
    path = tmp_path / "file"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with asyncio.timeout(LIMIT), aclosing(FileWatch([path]).changes()) as changes:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            noticed = asyncio.ensure_future(anext(changes))
            while "they can't be watched" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        path.write_text("one")
        await noticed


A = make_account("a")
NEW = Config(timeouts=Timeouts(idle=5), routing=Routing(strategy="round-robin"))
INPUTS = Inputs(NEW, "round-robin", (A,))


@dataclass
class FakeSource:
    """Reads what it was told, or raises it."""

    inputs: Inputs | Exception
    paths: tuple[Path, ...] = ()

    own: Collection[Path] = ()
    """What the proxy itself writes."""
    calls: list[str] = field(default_factory=list)

    def is_own_change(self, changed: Collection[Path]) -> bool:
        self.calls.append(" ".join(path.name for path in changed))
        return all(path in self.own for path in changed)

    def read_again(self) -> Inputs:
        self.calls.append("read")
        if isinstance(self.inputs, Exception):
            raise self.inputs
        return self.inputs


@dataclass
class Unwritten:
    """A refresher that could not write what it has renewed."""

    renewed: dict[Account, Account]

    def newest(self, account: Account) -> Account:
        return self.renewed.get(account, account)


async def reload(runtime: Runtime, inputs: Inputs) -> None:
    await Reloader(runtime, FakeSource(inputs)).reload()


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "neurolink")


@pytest.fixture
def runtime() -> Runtime:
    return make_runtime(A, environ={"KEY": "one"})


async def test_a_good_change_is_taken_over(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.clock.advance(60)  # type: ignore[attr-defined]  # it is a fake
    await Reloader(runtime, FakeSource(replace(INPUTS, environ={"KEY": "two"}))).reload()
    assert (runtime.config, runtime.pool.strategy) == (NEW, "round-robin")
    assert runtime.environ == {"KEY": "two"}
    assert (runtime.config_errors, runtime.config_loaded_at) == ((), NOW + 60)
    assert caplog.messages == [
        'configuration: routing.strategy: "fill-first" -> "round-robin"',
        "configuration: timeouts.idle: 300 -> 5",
        "changed in the env file: KEY",
    ]
    told_by = {record.threadName for record in caplog.records}
    assert "MainThread" not in told_by, "hundreds of lines would hold up the loop"


async def test_files_are_read_in_steps_that_streams_do_not_notice(runtime: Runtime) -> None:
    class Slow(FakeSource):
        def read_again(self) -> Inputs:
            steps.append(sys.getswitchinterval())
            return super().read_again()

    steps: list[float] = []
    await Reloader(runtime, Slow(INPUTS)).reload()
    assert steps == [pytest.approx(SHORT)]


@pytest.mark.parametrize(
    "bad",
    [
        Inputs(Config(), "fill-first", (A,), {"KEY": "one"}, faults=("timeouts.idle: odd",)),
        ValueError("timeouts.idle: odd"),
    ],
    ids=["fault", "exception"],
)
async def test_a_bad_one_is_reported_once(
    runtime: Runtime, caplog: pytest.LogCaptureFixture, bad: Inputs | Exception
) -> None:
    reloader = Reloader(runtime, FakeSource(bad))
    await reloader.reload()
    await reloader.reload()
    assert runtime.config == Config()
    assert runtime.config_errors == ("timeouts.idle: odd",)
    assert runtime.config_loaded_at == 0
    assert caplog.messages == ["not taken over, all stays as it was: timeouts.idle: odd"]


async def test_our_own_write_is_not_reloaded(runtime: Runtime, tmp_path: Path) -> None:
    tokens, config = tmp_path / "tokens", tmp_path / "config"
    source = FakeSource(INPUTS, (tokens, config), own=(tokens,))
    running = asyncio.ensure_future(Reloader(runtime, source).run())
    async with asyncio.timeout(LIMIT):
        for path, calls in ((tokens, 1), (config, 3)):
            path.write_text("new")
            while len(source.calls) < calls:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.01)
    running.cancel()
    assert source.calls == ["tokens", "config", "read"]


async def test_a_good_one_takes_the_errors_away(runtime: Runtime) -> None:
    source = FakeSource(ValueError("odd"))
    reloader = Reloader(runtime, source)
    await reloader.reload()
    source.inputs = INPUTS
    await reloader.reload()
    assert runtime.config_errors == ()


async def test_nothing_new_is_not_told(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Config] = []
    runtime.on_config.append(told.append)
    await reload(runtime, Inputs(Config(), "fill-first", (A,), {"KEY": "one"}, warnings=("open",)))
    assert (told, caplog.messages) == ([], [])


async def test_changed_logins_are_told_without_the_configuration(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    await reload(runtime, Inputs(Config(), "fill-first", (A, make_account("b")), {"KEY": "one"}))
    assert caplog.messages == ["logins have changed: 2 accounts, 1 before"]


@pytest.mark.parametrize(
    "inputs",
    [replace(INPUTS, environ={"KEY": "one"}), Inputs(Config(), "fill-first", (A,), {})],
    ids=["configuration", "environment"],
)
async def test_who_wants_to_hear_of_it_does(runtime: Runtime, inputs: Inputs) -> None:
    told: list[Config] = []

    def broken(config: Config) -> None:
        raise RuntimeError("broken")

    runtime.on_config += [broken, told.append]
    await reload(runtime, inputs)
    assert told == [inputs.config]


async def test_cooldowns_stay(runtime: Runtime) -> None:
    state = runtime.pool.account_state(A.key)
    await reload(runtime, INPUTS)
    assert runtime.pool.account_state(A.key) is state


async def test_a_token_that_is_not_on_disk_yet_stays(caplog: pytest.LogCaptureFixture) -> None:
    renewed = replace(A, secret=Secret("sk-ant-test-renewed"))
    runtime = make_runtime(renewed, refresher=Unwritten({A: renewed}))
    state = runtime.pool.account_state(A.key)
    await reload(runtime, INPUTS)
    assert runtime.pool.accounts == (renewed,)
    assert runtime.pool.account_state(A.key) is state
    assert "logins" not in caplog.text


async def test_warnings_are_told_when_something_changed(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    await reload(runtime, replace(INPUTS, environ={"KEY": "one"}, warnings=("it is open",)))
    assert caplog.messages[-1] == "it is open"


async def test_the_sessions_rules_are_taken_over() -> None:
    runtime = make_runtime(pool=Pool([A, make_account("b")], "quota-aware"))
    config = Config(routing=Routing(strategy="quota-aware", primary_account="b"))
    await reload(runtime, Inputs(config, "quota-aware", runtime.pool.accounts))
    taken = runtime.pool.choose(Requirements(), NOW).account
    assert taken is not None
    assert taken.label == "b"


async def test_shaping_is_taken_over(runtime: Runtime) -> None:
    shaping = Pipeline("always")
    await reload(runtime, Inputs(Config(), "fill-first", (A,), shaping=shaping))
    assert runtime.shaping is shaping


async def test_other_files_may_be_watched(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "two", "three")]
    watch = FileWatch(paths[:2])
    watch.watch(paths[1:])
    async with asyncio.timeout(LIMIT), aclosing(watch.changes()) as changes:
        for path in paths:
            path.write_text("new")
        assert await anext(changes) == frozenset(paths[1:])
