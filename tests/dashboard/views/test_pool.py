from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.dashboard.page import View
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views.pool import (
    FEW,
    forecast_of,
    pool_mark,
    rounded,
    row_of,
    state_of,
)
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served, served
from tests.fakes import FakeClock, make_account, make_failure, make_runtime
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

NOW = 1_800_000_000.0
SOON, LATER = iso(NOW + 60), iso(NOW + 3600)
ACCOUNT: dict[str, Any] = {
    "reason": None,
    "paused": None,
    "cooling": False,
    "coolingUntil": None,
    "recoversAt": None,
    "quota": None,
    "cooldowns": {},
}
COOLING = {
    "cooling": True,
    "reason": "rate limit (429)",
    "coolingUntil": SOON,
    "recoversAt": LATER,
    "cooldowns": {"*": {"cooling": True, "whole": False}},
}
OPUS = {"cooldowns": {"*opus*": {"cooling": True, "whole": False}}}
USED_UP = {"quota": {"windows": {"5h": {"status": "rejected"}}}}


def test_the_mark_changes_with_what_is_shown(tmp_path: Path) -> None:
    """By what happens to an account, by the configuration, and by time alone."""
    pool, clock = Pool([make_account("a"), make_account("b")]), FakeClock()
    runtime = make_runtime(pool=pool, clock=clock)
    pool.budget.day_ends_at = clock.now() + 3600
    view = View(Site(runtime, Home(tmp_path)))
    key, asked, limited = "anthropic:a", Requirements(), make_failure(429, "retry-after: 60")
    changes: list[tuple[str, Callable[[], object]]] = [
        ("an attempt begins", lambda: pool.began(key, asked, clock.now())),
        ("it ends", lambda: pool.ended(key, sent_at=clock.now())),
        ("it fails", lambda: pool.failed(key, asked, limited, sent_at=clock.now(), now=clock.now())),
        ("the cooldown ends", lambda: clock.advance(61)),
        ("a window is reported", lambda: pool.take_quota(key, Quota(clock.now(), {"5h": Window(0.5, "", 0)}))),
        ("an account is disabled", lambda: pool.disable("anthropic:b", "needs login")),
        ("money is spent", lambda: setattr(pool.budget, "spent", 1.0)),
        ("a reload", lambda: setattr(runtime, "config", Config(routing=Routing(hold=9)))),
    ]  # fmt: skip
    for what, change in changes:
        before = pool_mark(view)
        clock.advance(0.1)
        assert pool_mark(view) == before, f"nothing happens before {what}"
        change()
        assert pool_mark(view) != before, what


@pytest.mark.parametrize(
    ("account", "explained", "expected"),
    [
        ({}, {"usable": True}, ("ready", "good", "", None, None)),
        ({"paused": {"until": LATER, "reason": "holiday"}, "reason": "paused until …"}, {},
         ("paused", "warn", "holiday", None, LATER)),
        (COOLING, {"usable": False}, ("cooling", "warn", "rate limit (429)", SOON, LATER)),
        (COOLING | USED_UP, {}, ("used up", "bad", "rate limit (429)", SOON, LATER)),
        (COOLING | {"recoversAt": SOON}, {}, ("cooling", "warn", "rate limit (429)", SOON, None)),
        (COOLING | OPUS, {}, ("ready", "good", "", None, None)),
        ({"reason": "needs login: its token has expired"}, {},
         ("needs login", "bad", "its token has expired", None, None)),
        ({"reason": "disabled: by hand"}, {}, ("disabled", "bad", "by hand", None, None)),
        ({"reason": "disabled: needs login: its refresh token was refused"}, {},
         ("needs login", "bad", "its refresh token was refused", None, None)),
        ({"reason": "not enabled"}, {}, ("not enabled", "idle", "", None, None)),
        ({}, {"usable": False, "reason": "not asked: passthrough"},
         ("not asked", "idle", "passthrough", None, None)),
        ({}, {"usable": False, "reason": "2 in flight, the most", "until": SOON},
         ("waiting", "warn", "2 in flight, the most", None, SOON)),
    ],
    ids=["ready", "paused", "cooling", "used up", "ends", "a family", "login", "disabled", "refused",
         "off", "passthrough", "busy"],
)  # fmt: skip
def test_the_state_of_an_account_is_a_word_and_why(
    account: dict[str, Any], explained: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    state = state_of(ACCOUNT | account, explained)
    assert (state.word, state.kind, state.reason, state.tried_at, state.until) == expected


def test_a_window_is_marked_when_it_is_nearly_used_up() -> None:
    window = {"reset": None, "runsOutAt": None, "models": []}
    states = {
        "5h": (0.79, "allowed"),
        "7d": (0.8, "allowed"),
        "x": (1.0, "allowed"),
        "y": (None, "rejected"),
    }
    windows = {
        name: window | {"used": used, "status": status} for name, (used, status) in states.items()
    }
    row = row_of(ACCOUNT | {"inFlight": 0, "quota": {"windows": windows}}, {}, NOW)
    marks = [(each.name, each.kind, each.used_up) for each in row.windows]
    assert marks == [
        ("5h", "", False),
        ("7d", "warn", False),
        ("x", "bad", True),
        ("y", "bad", True),
    ]
    assert (row.used, row.quiet) == (1.0, False)


@pytest.mark.parametrize(("ahead", "step"), [(120, 60), (7200, 300), (86_400, 900)])
def test_a_forecast_does_not_move_with_every_look(ahead: float, step: float) -> None:
    start = NOW // 900 * 900 + ahead
    steps = {rounded(iso(start + second), NOW) for second in range(int(step))}
    assert len(steps) == 1
    assert rounded(None, NOW) is None


def test_the_forecast_names_what_is_dry_and_families_that_run_out_earlier() -> None:
    def dry(begin: float | None, end: float | None = None) -> dict[str, Any]:
        return {
            "dryFrom": None if begin is None else iso(NOW + begin),
            "dryTo": None if end is None else iso(NOW + end),
        }

    report = {
        **dry(7200),
        "models": {"*opus*": dry(5, 7200), "*fable*": dry(9000), "*haiku*": dry(None)},
    }
    forecast = forecast_of(report, NOW)
    assert forecast
    assert (forecast["dry"], forecast["until"]) == (False, iso(NOW + 7200))
    assert [(each["name"], each["dry"]) for each in forecast["models"]] == [("opus", True)]
    assert forecast_of(None, NOW) is None


def windows(used: float) -> Reply:
    prefix = "anthropic-ratelimit-unified"
    headers = {f"{prefix}-{name}-utilization": str(used) for name in ("5h", "7d", "7d_opus")}
    return Reply(headers=headers)


def test_the_part_shows_windows_and_who_is_next(dashboard: Served, upstream: SandboxServer) -> None:
    upstream.script("a", windows(0.91))
    answer = httpx.post(
        f"{dashboard.proxy.url}/v1/messages", json=message(), headers=CLAUDE_CODE, timeout=LIMIT
    )
    assert answer.status_code == 200
    with dashboard.signed_in() as client:
        html = client.get("/parts/pool").text
        outlook = client.get("/parts/outlook").text
    assert re.search(r"The next request.*account[^>]*>a<.*by ", outlook, re.DOTALL)
    assert "7d_opus" in html
    assert 'aria-valuenow="0.91" aria-valuetext="91\u202f%"' in html
    assert html.count('class="badge busy"') == 1
    assert 'hx-post="/actions/pause"' in html


def test_of_many_accounts_ready_ones_are_folded(upstream: SandboxServer, tmp_path: Any) -> None:
    accounts = [account(f"n{i:03}", upstream.url) for i in range(200)]
    with served(Proxy(accounts), tmp_path) as running, running.signed_in() as client:
        html = client.get("/parts/pool").text
    shown, _, folded = html.partition("<details")
    folded = html[html.index('id="folded"') :]
    assert folded.count('class="account ') == 199
    assert shown.count('scope="row"') <= FEW


def test_a_hostile_label_is_text(upstream: SandboxServer, tmp_path: Any) -> None:
    label = '"><img src=x onerror=alert(1)>'
    with (
        served(Proxy([account(label, upstream.url)]), tmp_path) as running,
        running.signed_in() as client,
    ):
        html = client.get("/parts/pool").text
    assert "<img" not in html
    assert "&lt;img" in html


def test_a_pool_without_accounts_says_what_to_do(tmp_path: Any) -> None:
    with served(Proxy([]), tmp_path) as running, running.signed_in() as client:
        assert "neurolink auth login anthropic" in client.get("/parts/pool").text
        assert "<dl" not in client.get("/parts/outlook").text


def test_a_dashboard_that_changes_nothing_has_no_buttons(
    upstream: SandboxServer, tmp_path: Any
) -> None:
    proxy = Proxy([account("a", upstream.url)])
    with served(proxy, tmp_path, read_only=True) as running, running.signed_in() as client:
        assert "<button" not in client.get("/parts/pool").text
