from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from neurolink_mitm.app.doctor import set_doctor
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cluster.report import RedisState
from neurolink_mitm.dashboard.views.health import Machine, Row, parts
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served, served
from tests.fakes import NOW, FakeCluster
from tests.flows.harness import LIMIT, Proxy, account

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AWAY = RedisState(False, "open", NOW, "TimeoutError")
XSS = "<img src=x onerror=alert(1)>"
STALL = {"at": "2026-11-22T10:00:00.000Z", "ms": 410, "stack": ["x.py:1 f"]}
CHANGES: list[tuple[str, dict[str, Any], str, str]] = [
    ("Configuration", {"config": {"path": None, "loadedAt": None, "errors": ["no"]}}, "bad", "no"),
    ("Logs", {"journal": {"dropped": 3, "bodiesDropped": 0, "lastError": "disk full"}}, "bad",
     "3 rows lost: disk full"),
    ("Event loop", {"loop": {"lagMs": {"p99": 1, "max": 410}, "stalls": 1, "lastStall": STALL}},
     "warn", "stood still 1 time"),
    ("Clock", {"clockSkew": -300.0}, "warn", "300 s behind"),
    ("Clock", {"clockSkew": 2.0}, "good", ""),
    ("Translator", {"translator": {"state": "restarting", "restarts": 2, "lastError": "killed"}},
     "warn", "started again 2 times; killed"),
    ("Translator", {"translator": {"state": "ready", "restarts": 0, "lastError": None}}, "good", ""),
    ("Notices", {"notices": {"channels": ["webhook"], "failed": 2, "lastError": "404"}}, "warn",
     "2 could not be delivered: 404"),
    ("Telemetry", {"telemetry": {"endpoint": "http://c", "dropped": 5, "lastError": "gone"}},
     "warn", "5 lost: gone"),
]  # fmt: skip


def rows_by_name(served: Served, changes: dict[str, Any]) -> dict[str, Row]:
    return {row.name: row for row in parts(served.site, {**served.site.status(), **changes})}


def test_what_is_wrong_has_a_word_and_what_to_do(dashboard: Served) -> None:
    for name, changes, state, text in CHANGES:
        row = rows_by_name(dashboard, changes)[name]
        assert (row.state, text in row.text) == (state, True), (name, row)
        assert row.fix or state == "good", name
    assert parts(dashboard.site, dashboard.site.status() | CHANGES[0][1])[0].name == "Configuration"


def test_tokens_that_are_not_on_disk(dashboard: Served) -> None:
    status = dict(dashboard.site.status())
    accounts = [{"label": "a", "unwritten": "no space"}]
    row = rows_by_name(dashboard, {"stats": status["stats"] | {"accounts": accounts}})
    assert (row["Tokens of a"].state, row["Tokens of a"].text) == ("bad", "no space")


def test_all_is_well(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        text = client.get("/parts/health").text
        assert text == client.get("/parts/health").text  # or it would be pushed all the time
    for word in ("in force", "written", "one process", "not attached", "not needed"):
        assert word in text
    assert "to repair" not in text


def cluster(**changes: Any) -> Any:
    return FakeCluster(**changes).report()


@pytest.mark.parametrize(
    ("report", "name", "word", "state"),
    [
        (None, "Replicas", "one process", "idle"),
        (cluster(), "Replicas", "differ", "warn"),
        (cluster(members={"id-1": Member("eu-1")}), "Replicas", "alone", "idle"),
        (cluster(members={"a": Member("a"), "b": Member("b")}), "Replicas", "2 replicas", "good"),
        (cluster(redis=AWAY), "Redis", "away", "bad"),
        (cluster(redis=replace(AWAY, failing={"sessions": "no"})), "Shared sessions", "not shared", "bad"),
    ],
    ids=["single", "differ", "alone", "two", "away", "refused"],
)  # fmt: skip
def test_replicas_have_a_row(
    dashboard: Served, report: Any, name: str, word: str, state: str
) -> None:
    row = rows_by_name(dashboard, {"cluster": report})[name]
    assert (row.word, row.state) == (word, state)


def test_each_replica_is_listed(dashboard: Served) -> None:
    now = dashboard.site.now()
    members = {
        "id-1": Member("eu-1", "1.0", seen_at=now - 60, lag_ms=1.3),
        "id-2": Member("<b>eu-2", "1.0", phase="draining", seen_at=now, in_flight=3),
        "id-3": Member("eu-3", "1.0", seen_at=now - 60, clock_skew=-300),
        "id-4": Member("eu-4", "0.9", seen_at=now),
    }
    dashboard.site.runtime.cluster = FakeCluster(members=members)
    with dashboard.signed_in() as client:
        text = client.get("/parts/health").text
        dashboard.site.runtime.cluster = FakeCluster(members=members, redis=AWAY)
        away = client.get("/parts/health").text
    dashboard.site.runtime.cluster = None
    assert "&lt;b&gt;eu-2" in text
    for shown in (
        "this one",
        "draining",
        "silent",
        "300 s behind",
        "Differs in version 0.9",
        "≤ 2 ms",
    ):
        assert shown in text
    assert "unknown" in away
    assert "silent" not in away


def test_the_guard(dashboard: Served) -> None:
    """It is missing only where this proxy has one that is gone."""
    runtime, states = dashboard.site.runtime, StateFile(dashboard.home.state)
    runtime.pid = os.getpid()
    start = process_start(os.getpid())
    assert start
    for guard, word in ((None, "not needed"), (os.getpid(), "runs"), (2**22 + 1, "gone")):
        ours = ProxyState(
            pid=os.getpid(), pid_started=start, host="127.0.0.1", port=1, strategy="fill-first",
            start_time=0, guard_pid=guard,
        )  # fmt: skip
        states.claim(ours)
        assert rows_by_name(dashboard, {})["Guard"].word == word


def test_what_is_reported_is_text(dashboard: Served) -> None:
    dashboard.site.runtime.config_errors = (XSS,)
    with dashboard.signed_in() as client:
        text = client.get("/parts/health").text
    assert XSS not in text
    assert "not taken over" in text


def test_this_machine(dashboard: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with dashboard.signed_in() as client:
        text = client.get("/parts/machine").text
        assert "mitmproxy" in text
        assert "nearly full" not in text
        full = Machine(1, 950, 1000, None, 1_000, 5, 0, {})
        monkeypatch.setattr("neurolink_mitm.dashboard.pages.health.read_machine", lambda site: full)
        text = client.get("/parts/machine").text
    assert "The disk is full" in text
    assert "Few file descriptors are left" in text


def part_when_done(client: httpx.Client, name: str, query: str = "") -> str:
    text = client.get(f"/parts/{name}{query}").text
    until = time.monotonic() + LIMIT
    while "every 500ms" in text and time.monotonic() < until:
        time.sleep(0.02)
        text = client.get(f"/parts/{name}").text
    return text


FINDINGS = [
    {"id": "python", "level": "ok", "text": "Python 3.13.0", "fix": None},
    {"id": "config-fault", "level": "fail", "text": XSS, "fix": "neurolink config check"},
]


def test_the_doctor_comes_when_asked(dashboard: Served) -> None:
    dashboard.site.diagnose = lambda: {"findings": FINDINGS}
    with dashboard.signed_in() as client:
        assert "Not examined yet" in client.get("/parts/doctor").text
        text = part_when_done(client, "doctor", "?run=1")
        assert "examined" in client.get("/parts/doctor").text  # the result is kept
    assert XSS not in text
    assert "1 to repair" in text
    assert text.index("config-fault") < text.index("python")


def test_a_doctor_that_fails(dashboard: Served) -> None:
    dashboard.site.diagnose = lambda: 1 / 0  # type: ignore[assignment,return-value]
    with dashboard.signed_in() as client:
        assert "The examination has failed" in part_when_done(client, "doctor", "?run=1")


PLANTED = ("plain-env-secret-1", "plain-config-key-2", "someone@example.com")


def plant(served: Served, upstream: SandboxServer) -> None:
    """Put secrets where the bundle looks."""
    home = served.home
    home.config.write_text(
        json.dumps({
            "default-base-url": upstream.url,
            "accounts": {"anthropic": [{"name": "a", "apiKey": PLANTED[1], "baseUrl": upstream.url}]},
        })
    )  # fmt: skip
    home.logs.mkdir(parents=True, exist_ok=True)
    (home.logs / "proxy-2026-11-22.jsonl").write_text(f'{{"why": "{" ".join(PLANTED)}"}}\n')
    (home.logs / "guard.log").write_text(f"{home.root} {PLANTED[0]}\n")
    environ = {"HOME": str(home.root.parent), "ANTHROPIC_API_KEY": PLANTED[0]}
    set_doctor(served.site, environ, None)


def test_the_bundle_holds_no_secret(dashboard: Served, upstream: SandboxServer) -> None:
    plant(dashboard, upstream)
    with dashboard.signed_in() as client:
        assert "No bundle yet" in client.get("/parts/bundle").text
        made = client.post("/actions/make-bundle")
        assert made.headers["hx-trigger"] == '{"refresh-bundle":true}'
        text = part_when_done(client, "bundle")
    for name in ("doctor.json", "versions.json", "status.json", "configuration.json", "guard.log"):
        assert name in text
    left = [secret for secret in (*PLANTED, str(dashboard.home.root)) if secret in text]
    assert left == []
    rows = [
        json.loads(line)
        for path in audits(dashboard.home.logs)
        for line in path.read_text().splitlines()
    ]
    assert [(row["actor"], row["action"]) for row in rows] == [("dashboard", "support bundle")]


def audits(logs: Path) -> list[Path]:
    return sorted(logs.glob("audit-*.jsonl"))


def test_a_read_only_dashboard_makes_bundles(upstream: SandboxServer, tmp_path: Path) -> None:
    with served(Proxy([account("a", upstream.url)]), tmp_path, read_only=True) as running:
        running.site.bundle = lambda: {"a.txt": "all is well"}
        with running.signed_in() as client:
            client.post("/actions/make-bundle")
            assert "all is well" in part_when_done(client, "bundle")


def test_a_bundle_that_fails(dashboard: Served) -> None:
    dashboard.site.bundle = lambda: 1 / 0  # type: ignore[assignment,return-value]
    with dashboard.signed_in() as client:
        client.post("/actions/make-bundle")
        assert "This has failed" in part_when_done(client, "bundle")


@pytest.mark.real("browser")
def test_examine_and_copy(dashboard: Served, browser: Browser, upstream: SandboxServer) -> None:
    from tests.dashboard.chromium import tab

    plant(dashboard, upstream)
    permissions = ["clipboard-read", "clipboard-write"]
    with tab(browser, dashboard, "/health", permissions=permissions) as opened:
        page = opened.page
        page.wait_for_selector("text=Parts of the proxy")
        page.click("text=Examine")
        page.wait_for_selector("#part-doctor table")
        page.click("text=Make the bundle")
        page.wait_for_selector("#bundle-text")
        page.click("[data-copy]")
        page.wait_for_selector("text=Copied.")
        text = page.evaluate("navigator.clipboard.readText()")
        assert "===== doctor.json =====" in text
        assert [secret for secret in PLANTED if secret in text] == []
        with page.expect_download() as download:
            page.click("[data-save]")
        assert download.value.suggested_filename == "neurolink-support.txt"
