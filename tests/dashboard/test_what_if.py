from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.dashboard.pages.what_if import comparison, estimate
from tests.dashboard.harness import Served
from tests.flows.harness import LIMIT
from tests.records.rows_for_replay import LIMITED_FOR_60, asked, attempt

if TYPE_CHECKING:
    from playwright.sync_api import Browser

XSS = "<img src=x onerror=alert(1)>"


def write_rows(logs: Path, now: float, more: tuple[dict[str, Any], ...] = ()) -> None:
    """Write what happened in the last minutes: a was limited once, and b served instead."""
    logs.mkdir(parents=True, exist_ok=True)
    tries = [
        attempt("r1", 0, "a"),
        attempt("r2", 10, "a", **LIMITED_FOR_60),
        attempt("r2", 10.1, "b"),
        attempt("r3", 90, "a"),
        *more,
    ]
    requests = [asked("r1", 0, "a"), asked("r2", 10, "b"), asked("r3", 90, "a")]
    for family, rows in (("proxy", requests), ("proxy-attempts", tries)):
        for number, row in enumerate(rows):
            moment = iso(now - 300 + number)
            with (logs / f"{family}-{moment[:10]}.jsonl").open("a") as file:
                file.write(json.dumps(row | {"timestamp": moment}) + "\n")


def result(client: httpx.Client, hours: str) -> str:
    """Return the part once it is computed."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        text = client.get(f"/parts/what-if?hours={hours}").text
        if "every 400ms" not in text:
            return text
    raise AssertionError("it is computed for ever")


@pytest.mark.parametrize("query", ["", "?hours=", "?hours=2", "?hours=1e9", "?hours=-1&run=1"])
def test_nothing_is_computed_before_somebody_asks(dashboard: Served, query: str) -> None:
    with dashboard.signed_in() as client:
        assert "Nothing computed yet" in client.get(f"/parts/what-if{query}").text
    assert dashboard.site.jobs.find("what-if:24") is None


def test_all_strategies_beside_what_happened(dashboard: Served) -> None:
    hostile = attempt("r4", 0, XSS)
    write_rows(dashboard.home.logs, dashboard.site.now(), (hostile,))
    with dashboard.signed_in() as client:
        text = result(client, "1")
        assert "every 400ms" not in client.get("/parts/what-if?hours=1&run=1").text  # it is fresh
    for word in (
        "What happened",
        "fill-first",
        "round-robin",
        "quota-aware",
        "in force",
        "429s met",
    ):
        assert word in text
    assert text.count('data-as="dated"') == 2, "from a day to a day"
    assert "Limits that nobody met are not known" in text
    assert XSS not in text
    assert XSS.replace("<", "&lt;").replace(">", "&gt;") in text


def test_no_request_in_that_time(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        assert "No request in the last 6 hours" in result(client, "6")


def test_a_log_that_can_not_be_read(dashboard: Served) -> None:
    now = iso(dashboard.site.now())
    (dashboard.home.logs / f"proxy-{now[:10]}.jsonl").mkdir(parents=True)
    with dashboard.signed_in() as client:
        assert "The estimate has failed" in result(client, "1")


def test_the_numbers(dashboard: Served) -> None:
    """A job that nobody waits for: the same function, called here."""
    write_rows(dashboard.home.logs, dashboard.site.now())
    job = dashboard.site.jobs.start("test", lambda job: estimate(dashboard.site, 1, job))
    assert job.ended.wait(LIMIT)
    assert job.share == pytest.approx(1.0)
    table = comparison(job.result, "fill-first")
    assert table["requests"] == 3
    happened, in_force = table["rows"][:2]
    assert [happened["recorded"], in_force["in_force"]] == [True, True]
    assert [cell["value"] for cell in happened["cells"]] == [1, 1, 0, 3.0, 3.0, 0]
    assert table["accounts"][0][0] == "a"


@pytest.mark.real("browser")
def test_run_and_compare(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    write_rows(dashboard.home.logs, dashboard.site.now())
    with tab(browser, dashboard, "/what-if") as opened:
        page = opened.page
        page.select_option("#hours", "1")
        page.click("text=Run")
        page.wait_for_selector("text=Requests by account")
        assert page.locator("tr.chosen th").inner_text().startswith("fill-first")
        assert page.input_value("#hours") == "1"
