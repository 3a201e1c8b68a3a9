from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from neurolink_mitm.cli import render
from neurolink_mitm.core import status
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.pool import Demand, Pool
from neurolink_mitm.core.quota import Quota, Window
from tests.fakes import NOW, make_account, make_runtime


def a_report(*accounts: Account, uptime: float = 42.0, **changes: Any) -> dict[str, Any]:
    """What `neurolink proxy status` hands to the renderer."""
    runtime = make_runtime(*accounts, started_at=NOW - uptime, **changes)
    report = status.report(runtime, NOW)
    return {**report, "running": True, "url": "http://127.0.0.1:55669", "startTime": NOW}


def with_account(report: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The same report with these of its first account changed."""
    report["stats"]["accounts"][0] |= fields
    return report


def rows(text: str) -> list[list[str]]:
    """The cells of a table, which are two spaces apart, without its titles."""
    lines = [line for line in text.splitlines() if line.startswith("work ")]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (3 * 3600 + 5 * 60, "3 h 5 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d 0 h"),
        (9 * 86400 + 23 * 3600 + 3599, "9 d 23 h"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert render.duration(seconds) == words


def test_json_is_the_report() -> None:
    report = a_report(make_account())
    text = render.as_json(report)
    assert json.loads(text) == report
    assert text.endswith("}\n")


def test_the_head_says_where_and_how_long() -> None:
    head, totals, *_ = render.status_text(a_report(uptime=125)).splitlines()
    assert head.endswith("on http://127.0.0.1:55669 (pid 4711, fill-first, up 2 min)")
    assert totals == "0 requests: 0 answered, 0 failed; 0 attempts upstream, 0 rate-limited"


def test_faults_of_the_configuration_are_shown() -> None:
    text = render.status_text(a_report(config_errors=("timeouts.idle: no number",)))
    assert "configuration: timeouts.idle: no number\n" in text


def test_tokens_that_are_not_on_disk_are_shown() -> None:
    report = with_account(a_report(make_account()), unwritten="can't write tokens.json: disk full")
    said = "work: ITS NEW TOKENS ARE NOT ON DISK: can't write tokens.json: disk full\n"
    assert said in render.status_text(report)
    assert "ON DISK" not in render.status_text(a_report(make_account()))


def test_no_accounts() -> None:
    assert render.status_text(a_report()).endswith("\nno accounts\n")


def test_an_account_that_is_ready() -> None:
    assert rows(render.status_text(a_report(make_account()))) == [
        ["work", "api_key", "ready", "–", "–", "0", "0", "0", "0"]
    ]


def test_what_happened_on_an_account() -> None:
    counts = {"attempts": 7, "success": 4, "errors": 3, "rateLimits": 2}
    [row] = rows(render.status_text(with_account(a_report(make_account()), **counts)))
    assert row[-4:] == ["7", "4", "3", "2"]


@pytest.mark.parametrize("label", ["[red]x[/red]", "[/x]", ":smile:"])
def test_a_label_means_itself(label: str) -> None:
    """In brackets stands rich's markup, between colons a picture."""
    assert f"\n{label} " in render.status_text(a_report(make_account(label)))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (
            {"cooling": True, "coolingUntil": "2025-10-09T08:54:20Z", "reason": "rate limit (429)"},
            "cooling until 2025-10-09T08:54:20Z: rate limit (429)",
        ),
        ({"reason": "not enabled"}, "not enabled"),
        ({"reason": "disabled: by its owner"}, "disabled: by its owner"),
    ],
    ids=["cooling", "not-enabled", "disabled"],
)
def test_what_keeps_an_account(fields: Mapping[str, Any], shown: str) -> None:
    [row] = rows(render.status_text(with_account(a_report(make_account()), **fields)))
    assert row[2] == shown


def test_how_far_the_windows_are_used() -> None:
    pool = Pool([make_account()])
    pool.standing("anthropic:work").quota = Quota(
        NOW, five_hour=Window(0.424, reset=NOW + 60), seven_day=Window(1.0, reset=NOW + 60)
    )
    [row] = rows(render.status_text(a_report(pool=pool)))
    assert row[3:5] == ["42%", "100%"]


def test_when_a_window_runs_out() -> None:
    window = {"used": 0.9, "runsOutAt": "2025-10-09T09:15:00.000Z"}
    quota = {"fiveHour": window, "sevenDay": None}
    [row] = rows(render.status_text(with_account(a_report(make_account()), quota=quota)))
    assert row[3:5] == ["90%, out at 09:15", "–"]


def test_a_long_reason_stays_on_one_line_where_it_is_piped() -> None:
    reason = "disabled: " + "x" * 120
    [row] = rows(render.status_text(with_account(a_report(make_account()), reason=reason)))
    assert row[2] == reason


def test_explain_marks_the_next_and_says_why_not() -> None:
    work, home = make_account("work"), make_account("home", enabled=False)
    pool = Pool([home, work])
    explained = status.explain(pool, Demand(claude_code=True), NOW)
    titles, *lines = render.explain_text({"explain": explained}).splitlines()
    assert titles.split() == ["account", "why"]
    assert [line.split()[:2] for line in lines] == [["no", "home"], ["next", "work"]]
    assert "not enabled" in lines[0]


def test_explain_without_accounts() -> None:
    assert render.explain_text({"explain": []}) == "no accounts\n"


def test_replay_is_side_by_side() -> None:
    report = {
        "recorded": {"requests": 3, "rateLimits": 1, "refused": 0, "served": {"a": 2, "b": 1}},
        "quota-aware": {"requests": 3, "rateLimits": 0, "refused": 3, "served": {}},
    }
    _, recorded, other = render.replay_text(report).splitlines()
    assert recorded.split() == ["recorded", "3", "1", "0", "a", "2,", "b", "1"]
    assert other.split() == ["quota-aware", "3", "0", "3", "nobody"]
