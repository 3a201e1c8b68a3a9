"""The summary of a request, as values and as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.exchange import Attempt, Exchange, Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.summary import comment, lines, marker, summary
from neurolink_mitm.core.openai.api import Api
from tests.fakes import NOW, make_account, make_attempt, make_exchange

LIMITED = make_attempt(
    make_account("alpha"), status=429, failure=Failure.of_status(429, b""), sent_at=NOW,
    ended_at=NOW + 0.012, cooldown=60.0,
)  # fmt: skip
CUT = make_attempt(make_account("alpha"), failure=Failure.of_network("closed", "gone"))
SERVED = make_attempt(make_account("beta"), number=2, status=200, sent_at=NOW, ended_at=NOW + 1.5)
FORWARDED = make_attempt(None, status=200)


def exchange(*attempts: Attempt, **changes: Any) -> Exchange:
    return make_exchange(attempts=list(attempts), began_at=NOW, **changes)


def told(known: Exchange) -> dict[str, str]:
    return dict(lines(summary(known)))


def test_it_is_plain_and_holds_no_credential() -> None:
    text = json.dumps(summary(exchange(LIMITED, SERVED, why="key sk-ant-test-12345678")))
    assert "alpha" in text
    assert "sk-ant-" not in text


@pytest.mark.parametrize(
    ("attempts", "words"),
    [
        ((), ""),
        ((SERVED,), "beta"),
        ((LIMITED,), "alpha (429)"),
        ((CUT,), "alpha (closed)"),
        ((LIMITED, SERVED), "beta, after alpha (429)"),
        ((LIMITED, CUT, SERVED), "beta, after alpha (429), alpha (closed)"),
        ((FORWARDED,), "the caller's own credential"),
    ],
    ids=["none", "served", "failed", "cut", "second", "third", "forwarded"],
)
def test_the_comment(attempts: tuple[Attempt, ...], words: str) -> None:
    assert comment(summary(exchange(*attempts))) == words


@pytest.mark.parametrize(
    ("attempts", "outcome", "mark"),
    [
        ((SERVED,), Outcome.COMPLETE, ""),
        ((LIMITED, SERVED), Outcome.COMPLETE, ":warning:"),
        ((LIMITED,), Outcome.ERROR, ":x:"),
        ((SERVED,), Outcome.TRUNCATED, ":x:"),
        ((SERVED,), Outcome.CANCELLED, ""),
    ],
    ids=["as-usual", "failed-over", "failed", "cut", "client-left"],
)
def test_the_marker(attempts: tuple[Attempt, ...], outcome: Outcome, mark: str) -> None:
    assert marker(summary(exchange(*attempts, outcome=outcome))) == mark


def test_a_line_for_each_attempt() -> None:
    found = told(exchange(LIMITED, SERVED))
    assert found["attempt 1"] == "alpha (api_key), 429, 12 ms, cools for 60 s"
    assert found["attempt 2"] == "beta (api_key), 200, 1.50 s"


def test_an_attempt_says_how_long_it_took_to_be_connected_and_answered() -> None:
    new = make_attempt(status=200, connect_seconds=0.0004, tls_seconds=0.05, wait_seconds=1.25)
    reused = make_attempt(number=2, status=200, wait_seconds=0.2, reused=True)
    found = told(exchange(new, reused))
    assert found["attempt 1"].endswith(", 200, connect 0.4 ms, TLS 50 ms, wait 1.25 s")
    assert found["attempt 2"].endswith(", 200, reused connection, wait 200 ms")


def test_a_flow_saved_by_an_older_version_is_shown_without_times() -> None:
    values = summary(exchange(SERVED))
    for name in ("connectMs", "tlsMs", "waitMs", "reused"):
        del values["attempts"][0][name]
    assert dict(lines(values))["attempt 1"] == "beta (api_key), 200, 1.50 s"


def test_a_request_that_is_over() -> None:
    known = exchange(
        SERVED, why="took beta by fill-first", model="claude-x", stream=True, tool_count=3,
        outcome=Outcome.COMPLETE, ended_at=NOW + 2, first_byte_at=NOW + 0.25,
    )  # fmt: skip
    usage = known.reader.usage
    usage.input_tokens, usage.output_tokens, usage.stop_reason = 26, 55, "end_turn"
    assert told(known) == {
        "request": f"{known.request_id}, claude-x, stream, 3 tools",
        "attempt 1": "beta (api_key), 200, 1.50 s",
        "reason": "took beta by fill-first",
        "usage": "tokens: 26 in, 55 out",
        "outcome": "complete, end_turn, 2.00 s, first byte after 250 ms",
    }


def test_the_clients_api_is_told_where_the_flow_shows_another() -> None:
    asked = summary(exchange(SERVED, model="gpt-x", api=Api.RESPONSES))
    assert dict(lines(asked))["request"].endswith(", openai-responses, gpt-x")
    del asked["api"]  # as a flow that an older version has saved
    assert dict(lines(asked))["request"].endswith("1, gpt-x")


def test_a_request_under_way() -> None:
    found = told(exchange(make_attempt(make_account("beta"))))
    assert found["attempt 1"] == "beta (api_key), under way"
    assert (found["usage"], found["outcome"]) == ("not told", "under way")
