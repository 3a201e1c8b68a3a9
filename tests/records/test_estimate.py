from __future__ import annotations

from neurolink_mitm.records.estimate import assumptions, best, outcome_report
from neurolink_mitm.records.replay import Outcome, recorded
from neurolink_mitm.records.replay_pool import Setting, accounts_of
from tests.records.rows_for_replay import asked, attempt, recording


def test_the_best_of_each_number() -> None:
    reports = {
        "a": outcome_report(Outcome(rate_limits=3, paid=1.0, moved=5)),
        "b": outcome_report(Outcome(rate_limits=1, paid=1.0, moved=9)),
        "c": outcome_report(Outcome(rate_limits=1, paid=2.0, moved=5)),
    }
    assert best(reports) == {
        "rateLimits": ["b", "c"], "paidUsd": ["a", "b"], "movedCacheTokens": ["a", "c"],
    }  # fmt: skip
    assert best({}) == {}


def test_accounts_that_were_never_asked_are_named() -> None:
    accounts = recording([attempt("r1", 0, "a")])
    pool = accounts_of(recording([attempt("r1", 0, f"n{n}") for n in range(12)]), ())
    text = "\n".join(assumptions(accounts, Setting(pool)))
    assert "n0, n1, " in text
    assert "n9 and 2 more" in text
    assert "Never asked" not in "\n".join(assumptions(accounts, Setting()))


def test_what_is_left_out_is_told() -> None:
    of = recording([attempt("r1", 0, "a")], [asked("r2", 0, "openai/x", provider="openai")])
    text = "\n".join(assumptions(of, Setting(affinity=False)))
    assert "Left out: 1 requests that other providers answered" in text
    assert "session affinity is off" in text


def test_labels_are_written_as_elsewhere() -> None:
    key = "sk-ant-api03-" + "a" * 80
    report = outcome_report(recorded(recording([attempt("r1", 0, key)])))
    assert key not in str(report)
