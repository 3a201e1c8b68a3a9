from __future__ import annotations

import random
import re
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.dashboard.pages import history
from neurolink_mitm.records import rollup_files, rollup_reader, summing
from neurolink_mitm.records.rollups import Rollup, Source, encode
from neurolink_mitm.records.slots import SLOT
from neurolink_mitm.records.stats import WHOLE
from neurolink_mitm.records.sums import Quantiles, Sums
from tests.dashboard.harness import Served
from tests.waiting import LIMIT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = """"'></td><script>alert(1)</script>&#39;\x1b[2J"""


def write(logs: Path, *rows: dict[str, Any]) -> None:
    logs.mkdir(exist_ok=True)
    for row in rows:
        complete = {"timestamp": iso(time.time() - 60), "outcome": "complete", "attempts": 1, **row}
        with (logs / f"proxy-{complete['timestamp'][:10]}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(complete) + b"\n")


def test_what_is_shown(dashboard: Served) -> None:
    ago = time.time() - 86400 * 3
    write(
        dashboard.home.logs,
        {"account": "a", "costUsd": 2.5, "inputTokens": 1000, "cacheReadTokens": 3000, "ttfbMs": 800.0, "attempts": 3},
        {"account": HOSTILE, "sessionId": HOSTILE, "model": HOSTILE, "agentId": HOSTILE, "client": HOSTILE,
         "outcome": HOSTILE, "responseStatus": 10**6, "costUsd": 1e300, "inputTokens": 10**18, "ttfbMs": 1e300},
        {"timestamp": iso(ago)}, {"timestamp": iso(ago - 86400 * 7)},
        {"timestamp": "0001-01-01T00:00:00.000Z"}, {"timestamp": "9999-12-31T23:59:00.000Z"},
    )  # fmt: skip
    with dashboard.signed_in() as client:

        def page(**query: str) -> str:
            response = client.get("/parts/history", params=query)
            assert response.status_code == 200, response.text
            assert "<script>" not in response.text
            assert "data-chart='" in response.text or "No request" in response.text
            for attribute in re.findall(r"data-chart='([^']*)'", response.text):
                msgspec.json.decode(attribute)
            return response.text

        usual = page()
        assert "Compared with the 7 days before, up to this time: 3 times as many requests" in usual
        assert "75\u202f%" in usual, "the hit rate"
        assert "/requests?account=a&amp;since=" in usual
        for by in ("account", "model", "session", "agent", "client", "outcome", HOSTILE):
            for step in ("day", "hour", "century"):
                page(by=by, step=step, range="all")
        for kind in ("today", "24h", "30d", "all", HOSTILE, ""):
            page(range=kind)
        by_hits = page(sort="Hit rate")
        assert by_hits.count('aria-sort="descending"') == 1
        names = re.findall(r'class="group-name"><a[^>]*>(.*?)</a>', by_hits, re.DOTALL)
        assert ">a<" in names[0], "75 % of the prompt came from the cache"
        page(sort=HOSTILE)
        assert "No request in this time" in page(since="1h", until=iso(time.time() - 1800))
        assert "is no time" in page(since=HOSTILE)
        assert "not after" in page(since="1h", until="2h")
        for extreme in ("0001-01-01", "9999-12-31T23:59", "9" * 30 + "d"):
            page(since=extreme)
            page(until=extreme)
        assert 'id="zoom-out" href="/history?range=30d"' in page(range="30d", since="2d")


def test_nothing_to_show(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        assert "No request in this time" in client.get("/parts/history").text


def test_days_with_many_rows_are_read_while_one_looks(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summing, "WORTH_A_ROLLUP", 10)
    today = time.time() - 60
    yesterday = today - 86400
    write(dashboard.home.logs, {"timestamp": iso(yesterday)}, {"timestamp": iso(today)})
    with dashboard.signed_in() as client:
        first = client.get("/parts/history").text
        assert "Reading 1 of 2 days" in first
        history.builder_of(dashboard.home.logs).join(LIMIT)
        then = client.get("/parts/history").text
        assert "Reading" not in then
        assert ">2<" in then


def test_days_without_rows_are_marked(dashboard: Served) -> None:
    moment = time.time() - 86400 * 2
    write(dashboard.home.logs, {"timestamp": iso(moment)})
    day = date.fromisoformat(iso(moment)[:10])
    rollup_files.remove_rows(dashboard.home.logs, day, "proxy")
    with dashboard.signed_in() as client:
        assert "sums only" in client.get("/parts/history").text


MILLION = 1_000_000
DAYS = 30
SESSIONS = 300
"""Of each day."""


def write_a_million(logs: Path) -> None:
    """Write the roll-ups of a million requests, without the rows."""
    chance = random.Random(1)
    today = datetime.now(UTC).date()
    (logs / "rollups").mkdir(parents=True)
    for back in range(1, DAYS + 1):
        day = today - timedelta(days=back)
        path = rollup_reader.path_of(logs, day)
        path.write_bytes(encode(str(day), _day(chance, day)))


def _day(chance: random.Random, day: date) -> Rollup:
    first = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // SLOT
    rollup = Rollup(sources={"proxy": Source(0, 0, 0, 0)})
    requests = MILLION // DAYS // 96
    for slot in range(first, first + 96):
        for number in range(20):
            session = f"{day}-{(slot // 2 + number) % SESSIONS}"
            sums = Sums(requests=requests // 20, output=900, cost=0.5, priced=9)
            sums.first_byte = Quantiles(
                {chance.randrange(300, 450): 1 for _ in range(requests // 20)}
            )
            for section, key in (
                ("session", session),
                ("account", f"acc-{number % 4}"),
                (WHOLE, WHOLE),
            ):
                rollup.requests[section].setdefault(key, {}).setdefault(slot, Sums()).merge_sums(
                    sums
                )
    return rollup


@pytest.fixture
def million(dashboard: Served) -> Served:
    write_a_million(dashboard.home.logs)
    return dashboard


@pytest.mark.real("browser")
def test_a_month_of_a_million_requests(million: Served, browser: Browser) -> None:
    """Any view comes in 300 ms; zoom is kept by a reload, and the theme may change."""
    from tests.dashboard.chromium import tab

    with million.signed_in() as client:
        for query in ("", "?by=session&range=30d", "?range=all&step=hour"):
            took = []
            for _ in range(3):
                began = time.process_time()  # this process is the proxy, too
                text = client.get(f"/parts/history{query}").text
                took.append(time.process_time() - began)
            assert "data-chart" in text
            assert min(took) < 0.3, (query, took)
    with tab(browser, million, "/history?range=30d") as opened:
        page = opened.page
        page.wait_for_selector(".u-over")
        assert page.locator(".u-over").count() == 6
        plot = page.locator(".u-over").first
        box = plot.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30, steps=5)
        page.mouse.up()
        page.wait_for_url("**since=**")
        page.wait_for_selector(".u-over")
        columns = page.locator("[data-chart]").first.get_attribute("data-chart")
        assert columns
        assert 3 < len(msgspec.json.decode(columns)["x"]) < 12
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 360, "height": 700})
        page.wait_for_function("document.querySelector('.u-wrap').clientWidth < 360")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator(".u-over").first.dblclick()
        page.wait_for_url("**/history?range=30d")
        page.wait_for_selector(".u-over")
