from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.dashboard import site as sites
from neurolink_mitm.dashboard.site import BusyError, Site
from tests.dashboard.harness import Served
from tests.fakes import make_runtime
from tests.flows.harness import LIMIT


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(make_runtime(), Home(tmp_path))


async def test_what_is_asked_runs_on_the_loop(site: Site) -> None:
    site.loop = asyncio.get_running_loop()
    thread = await asyncio.to_thread(site.on_loop, threading.get_ident)
    assert thread == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(site.on_loop, lambda: 1 // 0)


def test_a_loop_that_does_not_answer_in_time_does_it_not_at_all(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told that it failed does it again."""
    monkeypatch.setattr(sites, "LIMIT", 0.01)
    done: list[int] = []
    site.loop = loop = asyncio.new_event_loop()
    with pytest.raises(BusyError, match="does not answer"):
        site.on_loop(lambda: done.append(1))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert done == []
    with pytest.raises(BusyError, match="is stopping"):
        site.on_loop(lambda: done.append(1))


def test_who_waits_for_a_loop_that_stops_goes_on(site: Site) -> None:
    site.loop = loop = asyncio.new_event_loop()
    asked = threading.Event()
    put, loop.call_soon_threadsafe = loop.call_soon_threadsafe, lambda *_: asked.set()  # type: ignore[method-assign, assignment, return-value]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(site.on_loop, int)
        assert asked.wait(LIMIT)
        site.stop()
        with pytest.raises(BusyError, match="is stopping"):
            waiting.result(1)
    assert put
    loop.close()
    with pytest.raises(BusyError, match="is stopping"):
        site.on_loop(int)


def test_the_report_is_that_of_status(dashboard: Served) -> None:
    assert dashboard.site.status()["version"]
