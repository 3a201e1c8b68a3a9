from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest
from mitmproxy import exceptions, http, options
from mitmproxy.test import tflow

from neurolink_mitm.dataplane.hooks import AttemptHook
from neurolink_mitm.dataplane.lean import LeanMaster, TlsOptions


def nothing() -> None:
    """What an addon does that only listens."""


def fail() -> None:
    raise ValueError("broken addon")


def halt() -> None:
    raise exceptions.AddonHalt


class Addon:
    """Notes its name in `heard` when it hears `attempt`, then does something."""

    def __init__(self, name: str, heard: list[str], does: Callable[[], None] = nothing) -> None:
        self.name = name
        self.heard = heard
        self.does = does

    def attempt(self, flow: http.HTTPFlow) -> None:
        self.heard.append(self.name)
        self.does()


class AwaitedAddon(Addon):
    """The same, as a coroutine."""

    async def attempt(self, flow: http.HTTPFlow) -> None:  # type: ignore[override]
        super().attempt(flow)


class DueAddon(Addon):
    """The same, but only if it is due is there something to wait for."""

    def __init__(
        self, name: str, heard: list[str], does: Callable[[], None] = nothing, *, due: bool = True
    ) -> None:
        super().__init__(name, heard, does)
        self.due = due

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:  # type: ignore[override]
        return self._wait(flow) if self.due else super().attempt(flow)

    async def _wait(self, flow: http.HTTPFlow) -> None:
        super().attempt(flow)


class Group:
    """An addon of addons."""

    def __init__(self, *addons: object) -> None:
        self.addons = addons


class Deaf:
    """Hears something else."""

    def request(self, flow: http.HTTPFlow) -> None:
        raise AssertionError("this was not for me")


@pytest.fixture
async def master() -> LeanMaster:
    return LeanMaster(options.Options())


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def hook() -> AttemptHook:
    return AttemptHook(tflow.tflow())


def errors(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.getMessage(), str(record.exc_info and record.exc_info[1]))
        for record in caplog.records
        if record.levelno == logging.ERROR
    ]


async def test_it_has_only_what_a_proxy_needs(master: LeanMaster) -> None:
    assert list(master.addons.lookup) == ["core", "proxyserver", "nextlayer", "tlsoptions"]


def test_towards_clients_there_is_no_tls() -> None:
    """All of TlsConfig would make an authority, and write its key to ~/.mitmproxy."""
    assert [name for name in dir(TlsOptions) if not name.startswith("_")] == ["load"]


# --- on the spot


async def test_handlers_run_in_the_order_of_their_addons(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    master.addons.add(Addon("a", heard), Deaf(), Addon("b", heard))
    assert master.addons.run_now(hook)
    assert heard == ["a", "b"]


async def test_addons_of_addons_are_heard_in_their_place(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    master.addons.add(
        Addon("a", heard), Group(Addon("b", heard), Addon("c", heard)), Addon("d", heard)
    )
    master.addons.run_now(hook)
    assert heard == ["a", "b", "c", "d"]


async def test_a_hook_that_nobody_hears_has_been_run(master: LeanMaster, hook: AttemptHook) -> None:
    assert master.addons.run_now(hook)


async def test_an_addons_fault_is_logged_and_the_next_still_runs(
    master: LeanMaster, heard: list[str], hook: AttemptHook, caplog: pytest.LogCaptureFixture
) -> None:
    master.addons.add(Addon("a", heard, fail), Addon("b", heard))
    assert master.addons.run_now(hook)
    assert heard == ["a", "b"]
    assert errors(caplog) == [("Addon error in attempt", "broken addon")]


async def test_a_halt_stops_the_others(
    master: LeanMaster, heard: list[str], hook: AttemptHook, caplog: pytest.LogCaptureFixture
) -> None:
    master.addons.add(Addon("a", heard, halt), Addon("b", heard))
    assert master.addons.run_now(hook)
    assert heard == ["a"]
    assert errors(caplog) == []


# --- who comes and goes


async def test_whoever_comes_later_is_heard(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    master.addons.add(Addon("a", heard))
    master.addons.run_now(hook)
    master.addons.add(Addon("b", heard))
    master.addons.run_now(hook)
    assert heard == ["a", "a", "b"]


async def test_whoever_has_gone_is_not_heard(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    gone = Addon("a", heard)
    master.addons.add(gone, Addon("b", heard))
    master.addons.run_now(hook)
    master.addons.remove(gone)
    master.addons.run_now(hook)
    assert heard == ["a", "b", "b"]


# --- as far as it goes, and then awaited


@pytest.mark.parametrize("kind", [AwaitedAddon, DueAddon])
async def test_from_the_first_that_has_to_be_awaited_on_the_others_wait(
    master: LeanMaster, heard: list[str], hook: AttemptHook, kind: type[Addon]
) -> None:
    master.addons.add(Addon("a", heard), kind("b", heard), Addon("c", heard))
    assert not master.addons.run_now(hook)
    assert heard == ["a"]
    await master.addons.trigger_event(hook)
    assert heard == ["a", "b", "c"]


async def test_an_addon_may_have_nothing_to_wait_for(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    master.addons.add(DueAddon("a", heard, due=False), Addon("b", heard))
    assert master.addons.run_now(hook)
    assert heard == ["a", "b"]


async def test_events_under_way_do_not_mix(master: LeanMaster) -> None:
    class Notes:
        """Which flow it heard of, and when it had waited for it."""

        def __init__(self) -> None:
            self.flows: list[http.HTTPFlow] = []

        async def attempt(self, flow: http.HTTPFlow) -> None:
            self.flows.append(flow)

    notes, first, second = Notes(), AttemptHook(tflow.tflow()), AttemptHook(tflow.tflow())
    master.addons.add(notes)
    assert not master.addons.run_now(first)
    assert not master.addons.run_now(second)
    await master.addons.trigger_event(second)
    await master.addons.trigger_event(first)
    assert notes.flows == [second.flow, first.flow]


@pytest.mark.parametrize(
    ("does", "went_on"), [(fail, ["a", "b"]), (halt, ["a"])], ids=["fault", "halt"]
)
async def test_what_comes_of_the_one_that_was_awaited(
    master: LeanMaster,
    heard: list[str],
    hook: AttemptHook,
    does: Callable[[], None],
    went_on: list[str],
) -> None:
    master.addons.add(AwaitedAddon("a", heard, does), Addon("b", heard))
    assert not master.addons.run_now(hook)
    await master.addons.trigger_event(hook)
    assert heard == went_on


async def test_an_event_that_is_over_can_come_again(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    master.addons.add(AwaitedAddon("a", heard), Addon("b", heard))
    for _ in range(2):
        assert not master.addons.run_now(hook)
        await master.addons.trigger_event(hook)
    assert heard == ["a", "b"] * 2


# --- awaited from the start


async def test_handlers_are_awaited_in_order(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    master.addons.add(AwaitedAddon("a", heard), Addon("b", heard), AwaitedAddon("c", heard))
    await master.addons.trigger_event(hook)
    assert heard == ["a", "b", "c"]


@pytest.mark.parametrize("kind", [Addon, AwaitedAddon, DueAddon])
async def test_a_fault_of_one_that_is_awaited_is_logged_and_the_next_still_runs(
    master: LeanMaster,
    heard: list[str],
    hook: AttemptHook,
    caplog: pytest.LogCaptureFixture,
    kind: type[Addon],
) -> None:
    master.addons.add(kind("a", heard, fail), AwaitedAddon("b", heard))
    await master.addons.trigger_event(hook)
    assert heard == ["a", "b"]
    assert errors(caplog) == [("Addon error in attempt", "broken addon")]


@pytest.mark.parametrize("kind", [Addon, AwaitedAddon, DueAddon])
async def test_a_halt_of_one_that_is_awaited_stops_the_others(
    master: LeanMaster, heard: list[str], hook: AttemptHook, kind: type[Addon]
) -> None:
    master.addons.add(kind("a", heard, halt), AwaitedAddon("b", heard))
    await master.addons.trigger_event(hook)
    assert heard == ["a"]


async def test_a_lifecycle_is_its_event_alone(
    master: LeanMaster, heard: list[str], hook: AttemptHook
) -> None:
    """The parent tells everybody of an `update` as well."""

    class Watcher:
        def update(self, flows: object) -> None:
            heard.append("update")

    master.addons.add(Addon("a", heard), Watcher())
    await master.addons.handle_lifecycle(hook)
    assert heard == ["a"]


async def test_messages_are_made_without_a_check_of_their_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which costs mitmproxy an exception for each field that may be None."""
    checks: list[http.MessageData] = []
    monkeypatch.setattr(http.MessageData, "__post_init__", lambda made: checks.append(made))
    http.Response.make(200)
    assert checks, "else this would prove nothing"
    LeanMaster(options.Options())
    checks.clear()
    assert http.Response.make(200, b"a").content == b"a"
    assert not checks
