from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from mitmproxy.connection import Client
from mitmproxy.test import tflow

from neurolink_mitm.dataplane.client import Phase
from neurolink_mitm.dataplane.clients import (
    IDLE,
    SILENT,
    Clients,
)
from neurolink_mitm.dataplane.layer import FailoverLayer
from tests.fakes import FakeClock


class FakeWriter(asyncio.StreamWriter):
    def __init__(self) -> None:
        self.unread = 0

    @property
    def transport(self) -> Any:
        return self

    def get_write_buffer_size(self) -> int:
        return self.unread

    def __del__(self) -> None: ...


class FakeTask:
    cancelled = False

    def cancel(self, _: str) -> None:
        self.cancelled = True


class FakeIO:
    def __init__(self) -> None:
        self.handler, self.writer = FakeTask(), FakeWriter()


class FakeWatchdog:
    timeout = 600


class FakeHandler:
    """As much of mitmproxy's as is looked at."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.transports = {client: FakeIO()}
        self.timeout_watchdog = FakeWatchdog()

    @property
    def hung_up(self) -> bool:
        return self.transports[self.client].handler.cancelled


class FakeLayer:
    def __init__(self, phase: Phase, began: float, *, trusted: bool = False) -> None:
        self.phase, self.phase_began, self.trusted = phase, began, trusted
        self.crowded: Callable[[], bool] = lambda: False


class Door:
    """Where clients come in."""

    def __init__(self, most: int = 3) -> None:
        self.clock = FakeClock()
        self.clients = Clients(most, self.clock.now)

    def enter(
        self, phase: Phase | None = None, *, trusted: bool = False
    ) -> tuple[FakeHandler, FakeLayer]:
        """One more client, which has got so far; None: it has sent nothing yet."""
        client = tflow.tclient_conn()
        client.id = f"client-{object()!r}-{id(client)}-{len(self.clients)}-{self.clock.now()}"
        self.clock.advance(1)
        handler = FakeHandler(client)
        self.clients.connected(client, cast("Any", handler))
        layer = FakeLayer(phase or Phase.IDLE, self.clock.now(), trusted=trusted)
        if phase:
            self.clients.speaks(client, cast(FailoverLayer, layer))
        return handler, layer


@pytest.fixture
def door() -> Door:
    return Door()


def test_mitmproxy_itself_hangs_up_on_nobody(door: Door) -> None:
    handler, _ = door.enter()
    assert handler.timeout_watchdog.timeout > 24 * 3600


@pytest.mark.parametrize(
    ("phase", "stays", "limit"),
    [(None, SILENT, SILENT), (Phase.IDLE, IDLE, IDLE), (Phase.BUSY, 10**6, None), (Phase.BODY, 10**6, None)],
    ids=["silent", "idle", "answered", "sending"],
)  # fmt: skip
def test_how_long_one_may_stay(
    door: Door, phase: Phase | None, stays: float, limit: float | None
) -> None:
    handler, _ = door.enter(phase)
    door.clock.advance(stays)
    door.clients.sweep()
    assert not handler.hung_up
    if limit is not None:
        door.clock.advance(1.1)
        door.clients.sweep()
        assert handler.hung_up


def test_the_longest_silent_goes_where_there_are_too_many(door: Door) -> None:
    first, second, third, fourth = (door.enter()[0] for _ in range(4))
    assert [h.hung_up for h in (first, second, third, fourth)] == [True, False, False, False]
    assert len(door.clients) == 3


def test_strangers_go_before_known_ones(door: Door) -> None:
    known, _ = door.enter(Phase.IDLE, trusted=True)
    strangers = [door.enter(Phase.HEAD)[0] for _ in range(10)]
    assert not known.hung_up
    assert [h.hung_up for h in strangers] == [True] * 8 + [False] * 2


def test_who_is_answered_is_never_hung_up_on(door: Door) -> None:
    busy = [door.enter(Phase.BUSY)[0] for _ in range(3)]
    late, layer = door.enter(Phase.IDLE)
    assert not any(h.hung_up for h in (*busy, late))
    assert layer.crowded()


def test_who_fits_is_not_told_that_it_is_full(door: Door) -> None:
    assert not door.enter(Phase.IDLE)[1].crowded()


def test_a_known_one_goes_if_nobody_else_can(door: Door) -> None:
    known = [door.enter(Phase.IDLE, trusted=True)[0] for _ in range(4)]
    assert [h.hung_up for h in known] == [True, False, False, False]


def test_who_has_left_is_forgotten(door: Door) -> None:
    handler, _ = door.enter()
    seat = door.clients.disconnected(handler.client)
    assert seat is not None
    assert not seat.has_unread
    assert len(door.clients) == 0
    assert door.clients.disconnected(handler.client) is None
