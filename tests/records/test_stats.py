from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.records import stats as stats_module
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest
from neurolink_mitm.records.stats import NO_KEY, REST, Stats, columns, flat, report, sparkline
from neurolink_mitm.records.sums import Quantiles


def seen(day: int = 9, hour: int = 8, **fields: Any) -> LoggedRequest:
    stamp = f"2025-10-{day:02}T{hour:02}:53:20.000Z"
    return LoggedRequest(**{"timestamp": stamp, "outcome": "complete", "attempts": 1, **fields})


def summed(by: str, *rows: LoggedRequest) -> Stats:
    stats = Stats(by)
    stats.add(rows)
    return stats


@given(st.lists(st.floats(0.1, 1e7), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_quantile_is_near_enough(values: list[float], share: float) -> None:
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    exact = sorted(values)[max(0, -(-len(values) * share // 1).__int__() - 1)]
    assert quantiles.at(share) == pytest.approx(exact, rel=0.021)


def test_rows_of_older_versions_were_for_anthropics_api() -> None:
    stats = summed("api", seen(), seen(api="openai-chat"), seen())
    assert [(name, one.requests) for name, one in stats.ordered()] == [
        ("anthropic", 2), ("openai-chat", 1),
    ]  # fmt: skip


def test_a_quantile_of_nothing() -> None:
    assert Quantiles().at(0.5) is None


def test_zero_is_counted() -> None:
    quantiles = Quantiles()
    quantiles.add(0.0)
    assert quantiles.at(0.5) == 0.0


def test_what_is_summed_up() -> None:
    rows = [
        seen(attempts=3, inputTokens=10, outputTokens=5, cacheReadTokens=80, cacheCreationTokens=10,
             movedCacheTokens=7, costUsd=0.5, ttfbMs=100.0),
        seen(outcome="error", ttfbMs=300.0),
        seen(outcome="client_cancelled", attempts=0),
    ]  # fmt: skip
    [(_, one)] = summed("day", *rows).ordered()
    assert report(one) == {
        "requests": 3,
        "errors": 1,
        "cancelled": 1,
        "failovers": 2,
        "inputTokens": 10,
        "outputTokens": 5,
        "cacheCreationTokens": 10,
        "cacheReadTokens": 80,
        "cacheHitRate": 0.8,
        "movedCacheTokens": 7,
        "costUsd": 0.5,
        "unpriced": 2,
        "p50FirstByteMs": pytest.approx(100, rel=0.02),
        "p95FirstByteMs": pytest.approx(300, rel=0.02),
        "reusedShare": None,
        **dict.fromkeys(TIMES),
    }


TIMES = ("p50ConnectMs", "p95ConnectMs", "p50TlsMs", "p95TlsMs", "p50WaitMs", "p95WaitMs")
NEW = {"connectMs": 20.0, "tlsMs": 40.0, "waitMs": 100.0, "reused": False}
REUSED = {"connectMs": 0.0, "tlsMs": 0.0, "waitMs": 300.0, "reused": True}
UNANSWERED = {"connectMs": 80.0, "tlsMs": 0.0, "waitMs": None, "reused": False}


def tried(day: int = 9, **fields: Any) -> LoggedAttempt:
    return LoggedAttempt(**{"timestamp": f"2025-10-{day:02}T08:53:20.000Z", **fields})


def test_the_times_of_attempts() -> None:
    """Connecting is that of new connections; who got no answer counts for nothing else; old rows for nothing."""
    stats = summed("account", seen(account="work"))
    attempts = [NEW, REUSED, REUSED, UNANSWERED, {}]
    stats.add_attempts(tried(account="work", **each) for each in attempts)
    [(_, one)] = stats.ordered()
    found = report(one)
    assert found["reusedShare"] == 0.6667
    assert [found[name] for name in TIMES] == pytest.approx([20, 80, 40, 40, 300, 300], rel=0.02)


def test_rows_of_an_older_version_have_no_times() -> None:
    stats = summed("day", seen())
    stats.add_attempts([tried()])
    assert stats.times.empty
    assert report(stats.total())["reusedShare"] is None


@pytest.mark.parametrize(
    ("by", "shares"),
    [
        ("day", [0.0, 1.0]),
        ("account", [0.5, None]),
        ("model", [None]),
        ("session", [None]),
        ("api", [None]),
    ],
)
def test_attempts_know_their_day_and_account(by: str, shares: list[float | None]) -> None:
    stats = summed(by, seen(8, account="work"), seen(9, account="home"))
    stats.add_attempts([tried(8, account="work", **NEW), tried(9, account="work", **REUSED)])
    ordered = dict(sorted(stats.groups.items(), key=lambda item: item[0], reverse=by != "day"))
    assert [group.times.reused_share for group in ordered.values()] == shares
    assert report(stats.total())["reusedShare"] == 0.5


def test_the_total_has_attempts_of_those_who_served_nothing() -> None:
    stats = summed("account", seen(account="work"))
    stats.add_attempts([tried(account="limited", **REUSED), tried(**REUSED)])
    assert stats.groups.keys() == {"work"}
    assert stats.total().times.answered == 2


def test_times_that_can_not_be_are_borne() -> None:
    stats = summed("day", seen())
    odd = {"connectMs": -1.0, "tlsMs": 1e308, "waitMs": -1e308}
    stats.add_attempts([tried(**odd)])
    found = report(stats.total())
    assert (found["p50ConnectMs"], found["p50WaitMs"]) == (0.0, 0.0)


def test_what_nothing_is_known_of() -> None:
    [(_, one)] = summed("day", seen()).ordered()
    found = report(one)
    assert [found[k] for k in ("costUsd", "cacheHitRate", "p50FirstByteMs")] == [None, None, None]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("day", ["2025-10-08", "2025-10-09"]),
        ("account", ["work", NO_KEY]),
        ("model", ["claude-real", "claude-asked"]),
        ("session", ["s1", NO_KEY]),
    ],
)
def test_groups(by: str, names: list[str]) -> None:
    """Days in their order, anything else by how often."""
    row = {
        "account": "work",
        "model": "claude-asked",
        "actualModel": "claude-real",
        "sessionId": "s1",
    }
    rows = [seen(9, **row), seen(9, **row), seen(8, model="claude-asked")]
    assert [name for name, _ in summed(by, *rows).ordered()] == names


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_module, "MAX_GROUPS", 2)
    stats = summed("session", *(seen(sessionId=f"s{number % 5}") for number in range(10)))
    assert {name: one.requests for name, one in stats.groups.items()} == {
        "s0": 2,
        "s1": 2,
        REST: 6,
    }


def test_what_was_not_told_apart_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_module, "MAX_GROUPS", 2)
    stats = summed("session", *(seen(sessionId=f"s{number % 5}") for number in range(10)))
    assert [name for name, _ in stats.ordered()] == ["s0", "s1", REST]


def test_the_total_is_that_of_all_groups() -> None:
    stats = summed("account", *(seen(account=name, costUsd=1.0, ttfbMs=10.0) for name in "abb"))
    whole = stats.total()
    assert (whole.requests, whole.cost, sum(whole.first_byte.counts.values())) == (3, 3.0, 3)


def test_flat_rows_name_their_group() -> None:
    [row] = flat("account", summed("account", seen(account="work")))
    assert (row["account"], row["requests"]) == ("work", 1)


def test_a_day_is_drawn_by_its_hours_and_anything_else_by_days() -> None:
    by_day = summed("day", seen(hour=0), seen(hour=0), seen(hour=23))
    across = columns("day", by_day.groups)
    assert sparkline(by_day.groups["2025-10-09"].over_time, across) == "█" + " " * 22 + "▄"
    by_account = summed("account", seen(7, account="a"), seen(9, account="b"))
    across = columns("account", by_account.groups)
    assert sparkline(by_account.groups["a"].over_time, across) == "█ "


# --- who used what


def test_requests_are_summed_up_by_who_asked() -> None:
    rows = (seen(client="bob", userId="u1", conversationId="c1"), seen(client="bob"), seen())
    for by, groups in (
        ("client", {"bob": 2, NO_KEY: 1}),
        ("user", {"u1": 1, NO_KEY: 2}),
        ("conversation", {"c1": 1, NO_KEY: 2}),
    ):
        assert {name: one.requests for name, one in summed(by, *rows).ordered()} == groups


def agents(*lines: tuple[str | None, str | None, int]) -> Stats:
    """Of one session: an agent, the one that started it, and tokens."""
    rows = (
        seen(sessionId="s", agentId=agent, parentAgentId=parent, inputTokens=tokens)
        for agent, parent, tokens in lines
    )
    return summed("agent", *rows)


def test_agents_are_a_tree_below_the_sessions_main_agent() -> None:
    stats = agents(
        (None, None, 1), ("a", None, 10), ("d", None, 1000), ("b", "a", 100), ("a", None, 20)
    )
    rows = list(flat("agent", stats))
    assert [(row["agent"], row["parent"], row["inputTokens"], row["treeInputTokens"]) for row in rows] == [
        ("main of s", None, 1, 1131), ("a", "main of s", 30, 130), ("b", "a", 100, 100),
        ("d", "main of s", 1000, 1000),
    ]  # fmt: skip
    assert sum(row["requests"] for row in rows) == rows[0]["treeRequests"] == 5


def test_requests_of_no_session_have_no_main_agent() -> None:
    assert [name for name, _ in summed("agent", seen(), seen(agentId="a")).ordered()] == [
        NO_KEY,
        "a",
    ]


@given(
    st.lists(st.tuples(*[st.sampled_from([None, *"abcde"])] * 2, st.integers(0, 9)), max_size=30)
)
def test_whatever_agents_claim_the_sums_are_those_of_all_requests(
    claims: list[tuple[str | None, str | None, int]],
) -> None:
    """Circles, and agents that have two who started them."""
    stats = agents(*claims)
    rows = list(flat("agent", stats))
    assert sum(row["inputTokens"] for row in rows) == sum(tokens for *_, tokens in claims)
    for row in rows:
        assert row["inputTokens"] <= row["treeInputTokens"] <= stats.total().input
