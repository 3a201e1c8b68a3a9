"""Which connection a request gets, and which ones are kept."""

from __future__ import annotations

import asyncio
import errno
import time
from dataclasses import replace

import pytest

from neurolink_mitm.core.request.target import Via
from neurolink_mitm.dataplane.upstreams import shared
from neurolink_mitm.dataplane.upstreams.dial import DialError
from neurolink_mitm.dataplane.upstreams.shared import Upstreams
from tests.dataplane.upstreams.fakes import KEY, FakeConnection, make_upstreams, turns


async def connected(upstreams: Upstreams, count: int = 1) -> list[FakeConnection]:
    made = [await upstreams.connect(KEY) for _ in range(count)]
    return [each for each in made if isinstance(each, FakeConnection)]


async def test_what_comes_back_is_used_again() -> None:
    upstreams, dialling, _ = make_upstreams()
    assert upstreams.take(KEY) is None
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    assert upstreams.take(KEY) is one
    assert upstreams.take(KEY) is None
    assert len(dialling.asked) == 1


async def test_the_latest_used_comes_first() -> None:
    """The others grow old, and are closed."""
    upstreams, _, _ = make_upstreams()
    one, two = await connected(upstreams, 2)
    upstreams.put_back(two)
    upstreams.put_back(one)
    assert [upstreams.take(KEY), upstreams.take(KEY)] == [one, two]


VIA = Via("http", "proxy.example", 3128, "Basic bWU6cHc=")


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, host="other.example"),
        replace(KEY, port=8443),
        replace(KEY, tls=False),
        replace(KEY, via=VIA),
        replace(KEY, pins=("ab" * 32,)),
    ],
    ids=["host", "port", "TLS", "HTTP proxy", "pins"],
)
async def test_another_way_needs_another_connection(other: shared.UpstreamKey) -> None:
    upstreams, _, _ = make_upstreams()
    upstreams.put_back((await connected(upstreams))[0])
    assert upstreams.take(other) is None


async def test_users_of_one_http_proxy_share_no_connection() -> None:
    upstreams, _, _ = make_upstreams()
    mine, yours = (
        replace(KEY, via=replace(VIA, authorization=login)) for login in ("Basic a", "Basic b")
    )
    upstreams.put_back(await upstreams.connect(mine))
    assert upstreams.take(yours) is None
    assert upstreams.take(mine) is not None


async def test_one_that_upstream_has_closed_is_not_handed_out() -> None:
    upstreams, _, _ = make_upstreams()
    one, two = await connected(upstreams, 2)
    upstreams.put_back(one)
    upstreams.put_back(two)
    two.eof_received()
    assert len(upstreams) == 1
    assert upstreams.take(KEY) is one


async def test_one_whose_end_has_only_just_come_is_not_either() -> None:
    """The kernel has it, the loop has not read it yet."""
    upstreams, _, _ = make_upstreams()
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    one.transport.unread = True
    assert upstreams.take(KEY) is None
    one.transport.unread = False  # it was a session ticket of TLS
    assert upstreams.take(KEY) is one


async def test_one_that_speaks_unasked_is_closed() -> None:
    """Else a second response would be the next request's."""
    upstreams, _, _ = make_upstreams()
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    one.data_received(b"HTTP/1.1 200 OK\r\n")
    assert one.transport.aborted
    assert upstreams.take(KEY) is None


async def test_one_that_ends_is_closed_at_once() -> None:
    """A half-closed one would wait for what it still has to send, maybe for ever."""
    upstreams, _, _ = make_upstreams()
    [one] = await connected(upstreams)
    one.transport.unsent = 10
    one.eof_received()
    assert one.transport.aborted


async def test_one_that_still_sends_is_not_kept() -> None:
    upstreams, _, _ = make_upstreams()
    [one] = await connected(upstreams)
    one.transport.unsent = 10
    upstreams.put_back(one)
    assert (one.transport.aborted, len(upstreams)) == (True, 0)


async def test_an_old_one_is_closed() -> None:
    upstreams, _, clock = make_upstreams()
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    clock.now += upstreams.idle
    assert upstreams.take(KEY) is None
    assert one.transport.aborted


async def test_the_old_ones_are_closed_by_themselves() -> None:
    upstreams, _, clock = make_upstreams()
    upstreams.idle = 0.01
    one, two = await connected(upstreams, 2)
    upstreams.put_back(one)
    clock.now += 0.02
    upstreams.put_back(two)
    async with asyncio.timeout(5):
        while len(upstreams) > 1:  # noqa: ASYNC110 - the set has no event for this
            await asyncio.sleep(0.005)
    assert (one.transport.aborted, two.transport.aborted) == (True, False)
    upstreams.close()
    assert two.transport.aborted


async def test_without_idle_time_none_is_kept() -> None:
    upstreams, dialling, _ = make_upstreams(warm=1)
    upstreams.idle = 0
    upstreams.take(KEY)
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    assert (len(upstreams), one.transport.aborted, len(dialling.asked)) == (0, True, 1)


async def test_a_shorter_time_counts_at_once() -> None:
    """After a reload."""
    upstreams, _, clock = make_upstreams()
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    clock.now += 10
    upstreams.idle = 20
    assert len(upstreams) == 1
    upstreams.idle = 5
    assert (len(upstreams), one.transport.aborted) == (0, True)


async def test_other_authorities_count_for_old_connections_too() -> None:
    upstreams, _, _ = make_upstreams()
    kept, used = await connected(upstreams, 2)
    upstreams.put_back(kept)
    upstreams.trust.generation += 1
    upstreams.put_back(used)
    assert upstreams.take(KEY) is None
    assert (kept.transport.aborted, used.transport.aborted) == (True, True)


async def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MOST_IDLE", 3)
    upstreams, _, clock = make_upstreams()
    upstreams.most_idle = 4
    for connection in await connected(upstreams, 5):
        clock.now += 1
        upstreams.put_back(connection)
    assert len(upstreams) == 3
    for number in range(3):
        clock.now += 1
        upstreams.put_back(await upstreams.connect(replace(KEY, port=number)))
    assert len(upstreams) == 4
    assert len([*iter(lambda: upstreams.take(KEY), None)]) == 1


# --- waiting for one


async def test_one_that_comes_back_first_is_taken_instead_of_a_new_one() -> None:
    """The new one is kept for the next request."""
    upstreams, dialling, _ = make_upstreams()
    [used] = await connected(upstreams)
    dialling.held = True
    waiting = asyncio.ensure_future(upstreams.connect(KEY))
    await turns()
    upstreams.put_back(used)
    assert await waiting is used
    await dialling.finish()
    assert upstreams.take(KEY) is dialling.made[1]


async def test_one_whose_end_has_just_come_is_not_taken_instead() -> None:
    upstreams, dialling, _ = make_upstreams()
    [used] = await connected(upstreams)
    dialling.held = True
    waiting = asyncio.ensure_future(upstreams.connect(KEY))
    await turns()
    used.transport.unread = True
    upstreams.put_back(used)
    await dialling.finish()
    assert await waiting is dialling.made[1]


async def test_but_not_where_it_has_to_be_new() -> None:
    upstreams, dialling, _ = make_upstreams()
    [used] = await connected(upstreams)
    dialling.held = True
    waiting = asyncio.ensure_future(upstreams.connect(KEY, fresh=True))
    await turns()
    upstreams.put_back(used)
    await dialling.finish()
    assert await waiting is dialling.made[1]


async def test_why_there_is_none_is_told() -> None:
    upstreams, dialling, _ = make_upstreams()
    dialling.faults = ["refused"]
    with pytest.raises(DialError, match="refused"):
        await upstreams.connect(KEY)


async def test_who_no_longer_waits_ends_the_dialling() -> None:
    upstreams, dialling, _ = make_upstreams()
    dialling.held = True
    waiting = asyncio.ensure_future(upstreams.connect(KEY))
    await turns()
    waiting.cancel()
    await turns()
    assert waiting.cancelled()
    assert dialling.made == []
    assert upstreams._tasks == set()


async def test_one_that_was_just_given_to_who_leaves_is_kept() -> None:
    upstreams, _, _ = make_upstreams()
    waiting = asyncio.ensure_future(upstreams.connect(KEY))
    await turns(1)
    [waiter] = upstreams._waiting[KEY]
    while not waiter.done():  # noqa: ASYNC110 - before anybody else can know
        await asyncio.sleep(0)
    waiting.cancel()
    await turns()
    assert (waiting.cancelled(), len(upstreams)) == (True, 1)


# --- spares


async def test_spares_are_connected_while_there_is_traffic() -> None:
    upstreams, dialling, clock = make_upstreams(warm=2)
    upstreams.take(KEY)
    await turns()
    assert len(upstreams) == 2
    upstreams.take(KEY)
    await turns()
    assert (len(upstreams), len(dialling.asked)) == (2, 3)
    clock.now += upstreams.idle
    upstreams._sweep()
    await turns()
    assert (len(upstreams), len(dialling.asked)) == (0, 3)


async def test_no_more_than_that_at_once() -> None:
    upstreams, dialling, _ = make_upstreams(warm=1)
    dialling.held = True
    for _ in range(3):
        upstreams.prepare(KEY)
    await turns()
    assert len(dialling.asked) == 1


@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        ("refused", shared.SPARE_PAUSE),
        (DialError("not trusted", permanent=True), shared.LASTING_PAUSE),
    ],
    ids=["may pass", "lasts"],
)
async def test_an_upstream_that_refuses_is_not_asked_for_spares_all_the_time(
    fault: str | DialError, pause: float
) -> None:
    upstreams, dialling, clock = make_upstreams(warm=1)
    dialling.faults = [fault]
    for _ in range(3):
        upstreams.prepare(KEY)
        await turns()
    assert len(dialling.asked) == 1
    for seconds, asked in ((pause - 1, 1), (2, 2)):
        clock.now += seconds
        upstreams.prepare(KEY)
        await turns()
        assert len(dialling.asked) == asked
    assert len(upstreams) == 1


async def test_one_that_upstream_has_closed_is_no_spare() -> None:
    upstreams, dialling, _ = make_upstreams(warm=1)
    one, two = await connected(upstreams, 2)
    upstreams.put_back(one)
    upstreams.put_back(two)
    one.eof_received()
    assert upstreams.take(KEY) is two
    await turns()
    assert len(dialling.asked) == 3


async def test_an_upstream_to_which_no_request_came_gets_no_spares_all_the_time() -> None:
    upstreams, dialling, _ = make_upstreams(warm=1)
    dialling.faults = ["refused"]
    with pytest.raises(DialError):
        await upstreams.connect(KEY)
    upstreams.prepare(KEY)
    assert len(dialling.asked) == 1


async def test_a_spare_with_another_certificate_is_not_kept() -> None:
    """Nor is it dialled again at once."""
    upstreams, dialling, _ = make_upstreams(warm=1)
    pinned = replace(KEY, pins=("cd" * 32,))
    for _ in range(3):
        upstreams.prepare(pinned)
        await turns()
    assert (len(upstreams), len(dialling.asked)) == (0, 1)
    assert dialling.made[0].transport.aborted


async def test_who_waits_at_the_end_still_gets_one() -> None:
    """The proxy lets requests in flight finish."""
    upstreams, dialling, _ = make_upstreams()
    dialling.held = True
    waiting = asyncio.ensure_future(upstreams.connect(KEY))
    await turns()
    upstreams.close()
    await dialling.finish()
    assert await waiting is dialling.made[0]


# --- descriptors


async def test_unused_ones_are_closed_where_no_descriptor_is_left() -> None:
    upstreams, dialling, _ = make_upstreams()
    [one] = await connected(upstreams)
    upstreams.put_back(one)
    dialling.faults = [OSError(errno.EMFILE, "Too many open files")]
    two = await upstreams.connect(replace(KEY, port=1))
    assert (two.is_open, one.transport.aborted, len(upstreams)) == (True, True, 0)


async def test_without_unused_ones_it_is_not_tried_again() -> None:
    upstreams, dialling, _ = make_upstreams()
    dialling.faults = [OSError(errno.EMFILE, "Too many open files")] * 2
    with pytest.raises(DialError, match="Too many open files"):
        await upstreams.connect(KEY)
    assert len(dialling.asked) == 1


async def test_after_the_end_nothing_is_kept_or_connected() -> None:
    upstreams, dialling, _ = make_upstreams(warm=1)
    [one] = await connected(upstreams)
    upstreams.close()
    upstreams.put_back(one)
    upstreams.prepare(KEY)
    await turns()
    assert (len(upstreams), one.transport.aborted, len(dialling.asked)) == (0, True, 1)


def test_its_clock_counts_the_time_that_a_laptop_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= shared.waking_and_sleeping() <= time.clock_gettime(time.CLOCK_BOOTTIME)
