"""What `neurolink proxy status` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from neurolink_mitm.cli.proxy import status_text as status_render
from neurolink_mitm.cli.ui.tables import printed
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.status import status
from neurolink_mitm.core.status.diagnostic import warn
from neurolink_mitm.core.status.event_loop import Lag, Stall
from tests.fakes import NOW, FakeCluster, make_account, make_runtime


def a_report(*accounts: Account, uptime: float = 42.0, **changes: Any) -> dict[str, Any]:
    """What `neurolink proxy status` hands to the renderer."""
    runtime = make_runtime(*accounts, started_at=NOW - uptime, **changes)
    report = status.report(runtime, NOW)
    return {**report, "running": True, "url": "http://127.0.0.1:55669", "startTime": NOW}


def with_account(report: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The same report with these of its first account changed."""
    report["stats"]["accounts"][0] |= fields
    return report


def shown(report: Mapping[str, Any]) -> str:
    return printed(status_render.view(report, NOW))


pytestmark = pytest.mark.usefixtures("in_kolkata")


def rows(text: str) -> list[list[str]]:
    """The cells of a table, which are two spaces apart, without its titles."""
    lines = [line for line in text.splitlines() if line.startswith("work ")]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_the_head_says_where_and_how_long() -> None:
    head, totals, *_ = shown(a_report(uptime=125)).splitlines()
    assert head.endswith("on http://127.0.0.1:55669 (pid 4711, fill-first, up 2 min)")
    assert totals == "0 requests: 0 answered, 0 failed; 0 attempts upstream, 0 rate-limited"


def test_where_the_loop_stood() -> None:
    lag = Lag()
    lag.observe(700)
    lag.stalled(Stall(NOW, 0.7, ("a.py:1 f", "b.py:2 g")))
    lag.paused(Stall(NOW, 75))
    _, _, *lines = shown(a_report(lag=lag)).splitlines()
    assert lines[:2] == [
        "loop: stood still 1 time, last at 14:23:20 IST for 700 ms at a.py:1 f",
        "the process did not run for 1 min until 14:23:20 IST: stopped, or asleep",
    ]


def test_how_late_the_loop_is() -> None:
    lag = Lag()
    lag.observe(12)
    text = shown(a_report(lag=lag))
    assert text.splitlines()[0].endswith(", up 42 s, lag 12 ms)")
    assert "loop:" not in text


def test_when_claude_code_was_detached() -> None:
    why = "the proxy did not answer"
    outage = {"since": "2025-10-09T13:02:11.000Z", "until": "2025-10-09T13:05:40.000Z", "why": why}
    away = {"since": "2025-10-09T14:00:00.000Z", "why": why}
    report = a_report() | {"claudeCode": {"outages": [outage], "detached": away}}
    lines = [line for line in shown(report).splitlines() if line.startswith("Claude Code")]
    assert lines == [
        f"Claude Code: detached 18:32:11 IST to 18:35:40 IST because {why}",
        f"Claude Code: detached since 19:30:00 IST because {why}; it comes back when that answers",
    ]


def test_faults_of_the_configuration_are_shown() -> None:
    text = shown(a_report(config_errors=("timeouts.idle: no number",)))
    assert "configuration: timeouts.idle: no number\n" in text


def test_no_accounts() -> None:
    assert shown(a_report()).endswith("\nno accounts\n")


def test_an_account_that_is_ready() -> None:
    assert rows(shown(a_report(make_account()))) == [
        ["work", "api_key", "ready", "0", "0", "0", "0"]
    ]


def test_what_happened_on_an_account() -> None:
    counts = {"attempts": 7, "success": 4, "errors": 3, "rateLimits": 2}
    [row] = rows(shown(with_account(a_report(make_account()), **counts)))
    assert row[-4:] == ["7", "4", "3", "2"]


@pytest.mark.parametrize("label", ["[red]x[/red]", "[/x]", ":smile:"])
def test_a_label_means_itself(label: str) -> None:
    """In brackets stands rich's markup, between colons a picture."""
    assert f"\n{label} " in shown(a_report(make_account(label)))


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        (
            {"cooling": True, "coolingUntil": "2025-10-09T08:54:02Z", "reason": "rate limit (429)"},
            "cooling for 42 s: rate limit (429)",
        ),
        (
            {"cooling": True, "coolingUntil": "2025-10-09T09:02:25Z", "reason": "rate limit (429)"},
            "cooling until 14:32 IST (in 10m): rate limit (429)",
        ),
        (
            {"cooling": True, "coolingUntil": "2025-10-09T08:53:19Z", "reason": "rate limit (429)"},
            "cooling for 0 s: rate limit (429)",
        ),
        ({"reason": "not enabled"}, "not enabled"),
        ({"reason": "disabled: by its owner"}, "disabled: by its owner"),
    ],
    ids=["cooling", "cooling-long", "cooling-over", "not-enabled", "disabled"],
)
def test_what_keeps_an_account(fields: Mapping[str, Any], state: str) -> None:
    [row] = rows(shown(with_account(a_report(make_account()), **fields)))
    assert row[2] == state


def test_a_token_that_has_ended_is_no_account_that_is_ready() -> None:
    """One that can't be refreshed, as of `setup-token`; `--explain` says the same."""
    ended = make_account(expires_at=NOW - 1)
    [row] = rows(shown(a_report(ended)))
    [explained] = status.explain(Pool([ended]), Requirements(claude_code=True), NOW)
    assert row[2] == explained["reason"] == "needs login: its token has expired"


def test_the_windows_are_below_the_accounts() -> None:
    pool = Pool([make_account()])
    windows = {"5h": Window(0.424, reset=NOW + 60), "7d": Window(1.0, reset=NOW + 60)}
    pool.account_state("anthropic:work").quota = Quota(NOW, windows)
    [account, five_hours] = rows(shown(a_report(pool=pool)))
    assert account[2] == "ready"
    assert five_hours == ["work", "5h", "██", "42%", "14:24 IST (in 1m)", "–"]


DRY = {"dryFrom": "2025-10-09T11:35:00.000Z", "dryTo": "2025-10-09T12:30:00.000Z"}
NEVER = {"dryFrom": None, "dryTo": None}
NOW_DRY = DRY | {"dryFrom": "2025-10-09T08:53:20.000Z"}
FROM = "from 17:05 IST (in 2h42m)"


@pytest.mark.parametrize(
    ("forecast", "lines"),
    [
        (None, []),
        (NEVER | {"models": {}}, []),
        (DRY | {"models": {}}, [f"pool: dry {FROM} to 18:00 IST at the pace of the last hour"]),
        (DRY | {"dryTo": None}, [f"pool: dry {FROM} at the pace of the last hour"]),
        (NOW_DRY, ["pool: dry until 18:00 IST (in 3h37m)"]),
        (NOW_DRY | {"dryTo": None}, ["pool: dry"]),
        (DRY | {"models": {"*opus*": DRY}}, [f"pool: dry {FROM} to 18:00 IST at the pace of the last hour"]),
        (NEVER | {"models": {"*opus*": NOW_DRY, "*sonnet*": NEVER}},
         ["pool for opus: dry until 18:00 IST (in 3h37m)"]),
    ],
    ids=["older proxy", "never", "from to", "open end", "now", "for long", "the same", "of a family"],
)  # fmt: skip
def test_when_the_pool_is_dry(forecast: dict[str, Any] | None, lines: list[str]) -> None:
    found = a_report(make_account())
    found["stats"]["forecast"] = forecast
    assert [line for line in shown(found).splitlines() if "dry" in line] == lines


def test_a_long_reason_stays_on_one_line_where_it_is_piped() -> None:
    reason = "disabled: " + "x" * 120
    [row] = rows(shown(with_account(a_report(make_account()), reason=reason)))
    assert row[2] == reason


def test_counting_that_is_limited_leaves_the_account_ready() -> None:
    pool = Pool([make_account("work")])
    limit = Cooldown(1, NOW, NOW + 30, "rate limit (429)")
    pool.account_state("anthropic:work").cooldowns["count_tokens:*"] = limit
    [row] = rows(shown(a_report(pool=pool)))
    assert row[2] == "ready; cooling: count_tokens for 30 s"


def test_explain_marks_the_next_and_says_why_not() -> None:
    work, home = make_account("work"), make_account("home", enabled=False)
    pool = Pool([home, work])
    explained = status.explain(pool, Requirements(claude_code=True), NOW)
    titles, *lines = shown({"explain": explained}).splitlines()
    assert titles.split() == ["account", "why"]
    assert [line.split()[:2] for line in lines] == [["no", "home"], ["next", "work"]]
    assert "not enabled" in lines[0]


def test_explain_without_accounts() -> None:
    assert shown({"explain": []}) == "no accounts\n"


ROUTE = {
    "asked": "claude-x",
    "model": "claude-x",
    "rule": "claude-*",
    "next": "anthropic:work",
    "status": None,
    "message": None,
    "countTokens": {"next": "anthropic:work", "status": None, "message": None},
}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ["claude-x: asked for, by claude-*"]),
        ({"asked": None}, []),
        (
            {"asked": "best", "rule": "model-mappings: best"},
            ["best: asked for as claude-x, by model-mappings: best"],
        ),
        (
            {"next": None, "status": 404, "message": "not here", "countTokens": {"next": None}},
            ["the client gets 404: not here"],
        ),
        (
            {"next": None, "status": 404, "message": "map it:\n  to: x", "countTokens": {}},
            ["the client gets 404: map it:", "  to: x"],
        ),
        (
            {"asked": None, "next": None, "message": "goes on", "countTokens": {"next": None}},
            ["a request goes on"],
        ),
        (
            {"asked": None, "countTokens": {"next": "anthropic:home"}},
            ["counting tokens: next is home"],
        ),
        (
            {"asked": None, "uncounted": "refused \x1b[2J. a: why"},
            ["batches, and what else tells no cost: refused ?[2J"],
        ),
        (
            {"asked": None, "countTokens": {"next": None, "status": 429}},
            ["counting tokens: the client gets 429"],
        ),
        (
            {
                "asked": None,
                "next": None,
                "status": 429,
                "heldUntil": "2025-10-09T09:03:20Z",
                "countTokens": {},
            },
            ["a request is held until 14:33 IST (in 10m)"],
        ),
    ],
    ids=[
        "named",
        "any",
        "mapped",
        "unknown",
        "to-be-mapped",
        "passthrough",
        "counting",
        "uncounted",
        "counting-in-vain",
        "held",
    ],
)
def test_explain_says_what_comes_of_it(changes: dict[str, Any], lines: list[str]) -> None:
    told = shown({"explain": [], "route": ROUTE | changes})
    assert told.splitlines()[1:] == lines


FALLBACK = {"provider": "openai", "model": "gpt-5", "usable": True, "reason": None, "until": None}


@pytest.mark.parametrize(
    ("added", "line"),
    [
        ({"fallbackChain": [FALLBACK]}, "fallback 1: openai/gpt-5: ready"),
        (
            {"fallbackChain": [FALLBACK | {"usable": False, "reason": "no key: OPENAI_API_KEY"}]},
            "fallback 1: openai/gpt-5: no key: OPENAI_API_KEY",
        ),
        (
            {
                "fallbackChain": [
                    FALLBACK
                    | {"usable": False, "reason": "cooling for 30 s", "until": "2025-10-09T08:53:50Z"}
                ]
            },
            "fallback 1: openai/gpt-5: cooling for 30 s",
        ),
        (
            {"translator": {"state": "ready", "pid": 7, "port": 99, "restarts": 1, "rss": 183e6}},
            "translator: ready (pid 7, port 99, 183 MB, 1 restarts)",
        ),
        (
            {"translator": {"state": "failed", "lastError": "no litellm"}},
            "translator: failed (no litellm)",
        ),
        (
            {"spend": {"todayUsd": 1.5, "capUsd": 20, "leftUsd": 18.5, "payPerUse": "allow"}},
            "pay-per-use: $1.50 today of $20.00, $18.50 left",
        ),
        (
            {
                "spend": {"todayUsd": 1.5, "capUsd": None, "leftUsd": None},
                "cluster": FakeCluster().report(),
            },
            "pay-per-use: $1.50 today (UTC) by all replicas",
        ),
        (
            {"spend": {"todayUsd": 0, "capUsd": None, "leftUsd": None, "payPerUse": "never"}},
            "pay-per-use: $0.00 today; not allowed by the configuration",
        ),
        ({"clockSkew": 90.4}, "clock: 90 s ahead of upstream's"),
        ({"clockSkew": -3600}, "clock: 3600 s behind upstream's"),
    ],
    ids=["fallback", "fallback-no-key", "fallback-cooling", "translator", "translator-failed",
         "spend", "spend-in-a-cluster", "spend-never", "clock-ahead", "clock-behind"],
)  # fmt: skip
def test_what_newer_proxies_tell(added: Mapping[str, Any], line: str) -> None:
    assert line in shown(a_report(make_account()) | added).splitlines()


def test_less_than_a_cent_is_no_line() -> None:
    spend = {"todayUsd": 0.004, "capUsd": None, "leftUsd": None, "payPerUse": "allow"}
    assert "pay-per-use" not in shown(a_report(make_account()) | {"spend": spend})


@pytest.mark.parametrize("missing", ["fallbackChain", "translator", "spend", "clockSkew"])
def test_what_older_proxies_do_not_tell_is_left_out(missing: str) -> None:
    report = a_report(make_account())
    report.pop(missing, None)
    assert missing.lower() not in shown(report).lower()


def test_a_clock_that_is_right_is_not_worth_a_line() -> None:
    assert "clock" not in shown(a_report(make_account()) | {"clockSkew": 2.0})


def test_tokens_that_are_not_on_disk_are_told_loudly() -> None:
    text = shown(with_account(a_report(make_account()), unwritten="No space left on device"))
    assert "work: ITS NEW TOKENS ARE NOT ON DISK: No space left on device\n" in text


def test_models_that_cool_while_the_account_serves() -> None:
    cooldown = {"until": "2025-10-09T08:53:50Z", "cooling": True, "level": 1, "reason": "429"}
    report = with_account(a_report(make_account()), cooldowns={"claude-opus-*": cooldown})
    [row] = rows(shown(report))
    assert row[2] == "ready; cooling: claude-opus-* for 30 s"


def test_requests_in_flight() -> None:
    [row] = rows(shown(with_account(a_report(make_account()), inFlight=2)))
    assert row[2] == "ready, 2 in flight"


def test_last_errors_are_the_newest_first() -> None:
    report = a_report(make_account("a"), make_account("b"), make_account("c"))
    for account, at in zip(report["stats"]["accounts"], ("08:10:00", "08:20:00"), strict=False):
        account |= {"lastError": "529", "lastErrorAt": f"2025-10-09T{at}.000Z"}
    lines = shown(report).splitlines()[-2:]
    assert lines == ["last error 13:50:00 IST b: 529", "last error 13:40:00 IST a: 529"]


@pytest.mark.parametrize("field", ["reason", "lastError", "unwritten"])
def test_what_others_say_does_not_steer_the_terminal(field: str) -> None:
    text = shown(with_account(a_report(make_account()), **{field: "\x1b[31mred\x07"}))
    assert "red" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_what_is_left_of_one_that_is_down() -> None:
    view = status_render.down_view("it is not running", [warn("x", "a file is left", "delete it")])
    assert view.plain == "it is not running\na file is left\n  fix: delete it"
