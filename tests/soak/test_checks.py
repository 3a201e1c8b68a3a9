"""The checks of the soak fail on a journal that is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from soak.checks import (
    Verdict,
    no_credential_astray,
    one_row_a_request,
    one_row_an_attempt,
    rows_match_upstreams,
    tokens_match_upstreams,
)
from soak.evidence import AttemptRow, Evidence, Level, RequestRow, Tokens
from soak.load import Request, Result

REQUEST = Request(1, "session", streamed=True, size=10, leaves=None)
START, END = Tokens(10, 1, 30, 4, 6), Tokens(10, 25, 30, 4, 6)
ROW = RequestRow(
    request_id="req_1",
    trace_id=REQUEST.trace_id,
    attempts=2,
    outcome="complete",
    response_status=200,
    ttfb_ms=1.0,
    input_tokens=10,
    output_tokens=25,
    cache_read_tokens=30,
    cache_creation_tokens=10,
    cache_creation_1h_tokens=6,
)
UNTOLD = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens",
     "cache_creation_1h_tokens")
)  # fmt: skip


def attempt(number: int, status: int, upstream_request_id: str | None) -> AttemptRow:
    return AttemptRow(
        timestamp=datetime(2026, 11, 23, tzinfo=UTC),
        request_id="req_1",
        attempt=number,
        account="a",
        response_status=status,
        error_type=None if status == 200 else "api_error",
        duration_ms=1.0,
        cooldown_ms=0.0,
        upstream_request_id=upstream_request_id,
    )


ATTEMPTS = (attempt(1, 500, "up_1"), attempt(2, 200, "up_2"))
LEVEL = Level(1.0, 1)


def evidence(*requests: RequestRow, **changes: Any) -> Evidence:
    """A request that b answered after a had failed in the middle of its head."""
    seen = Evidence(
        results=[Result(REQUEST, "complete", 200, 1.0)],
        requests=requests,
        attempts=ATTEMPTS,
        ledgers={"a": {"up_1": 1, "up_2": 1}},
        answered={"up_1", "up_2"},
        strays={"a": []},
        connects={("a", "open"): 1},
        endings={},
        usages={"up_1": [Tokens(99, 1, 99, 99, 99)], "up_2": [START, END]},
        at_start=LEVEL,
        warmed_up=LEVEL,
        at_end=LEVEL,
        open_at_end=(),
        output="",
        ended="exit code 0",
    )
    return replace(seen, **changes)


def row(**changes: Any) -> RequestRow:
    return msgspec.structs.replace(ROW, **changes)


def judged(*requests: RequestRow, **changes: Any) -> Verdict:
    return tokens_match_upstreams(evidence(*requests, **changes))


def test_a_right_journal() -> None:
    verdict = judged(ROW)
    assert verdict.met
    assert verdict.found.startswith(
        "10 input, 25 output, 30 cache_read, 4 cache_write_5m, 6 cache_write_1h; 0 answers"
    )


@pytest.mark.parametrize("outcome", ["complete", "truncated", "client_cancelled", "error"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": 11},
        {"output_tokens": 24},
        {"cache_read_tokens": 0},
        {"cache_creation_tokens": 11},
        {"cache_creation_1h_tokens": 5},
        {"input_tokens": 109, "output_tokens": 26},
    ],
    ids=["input", "output", "cache-read", "cache-write", "tier", "failed-attempt-counted"],
)
def test_a_wrong_count(outcome: str, wrong: dict[str, int]) -> None:
    assert not judged(row(outcome=outcome, **wrong)).met


@pytest.mark.parametrize("outcome", ["complete", "truncated"])
def test_the_end_of_an_answer_must_have_been_read(outcome: str) -> None:
    assert not judged(row(outcome=outcome, output_tokens=1)).met
    assert not judged(row(outcome=outcome, **UNTOLD)).met


def test_a_cut_answer_has_what_was_told_before_the_cut() -> None:
    cut = {"up_2": [START]}
    assert judged(row(outcome="truncated", output_tokens=1), usages=cut).met
    assert not judged(row(outcome="truncated"), usages=cut).met


def test_a_client_that_leaves_may_have_had_less() -> None:
    assert judged(row(outcome="client_cancelled", output_tokens=1)).met
    assert judged(row(outcome="client_cancelled", ttfb_ms=None, **UNTOLD)).met


def test_but_content_comes_after_the_first_tokens_were_told() -> None:
    assert not judged(row(outcome="client_cancelled", **UNTOLD)).met


def test_tokens_that_nobody_told() -> None:
    assert not judged(ROW, usages={}).met
    assert not judged(ROW, attempts=ATTEMPTS[:1]).met


def test_a_request_has_one_row() -> None:
    assert one_row_a_request(evidence(ROW)).met
    assert not one_row_a_request(evidence()).met
    assert not one_row_a_request(evidence(ROW, ROW)).met


def test_an_attempt_has_one_row() -> None:
    assert one_row_an_attempt(evidence(ROW)).met
    assert not one_row_an_attempt(evidence(row(attempts=3))).met
    assert not one_row_an_attempt(evidence(ROW, attempts=(*ATTEMPTS, ATTEMPTS[1]))).met


def test_rows_are_what_came() -> None:
    assert rows_match_upstreams(evidence(ROW)).met
    assert not rows_match_upstreams(evidence(ROW, ledgers={"a": {"up_1": 1}})).met
    assert not rows_match_upstreams(evidence(ROW, ledgers={"a": {"up_1": 1, "up_3": 1}})).met


def came_again(*ids: str) -> dict[str, dict[str, int]]:
    """The ledger with more requests of the same number."""
    return {"a": {"up_1": 1, "up_2": 1, **dict.fromkeys(ids, 1)}}


def test_a_reused_connection_that_ends_before_an_answer_lets_an_attempt_be_made_once_more() -> None:
    assert rows_match_upstreams(evidence(ROW, ledgers=came_again("x", "y"))).met
    assert not rows_match_upstreams(evidence(ROW, ledgers=came_again("x", "y", "z"))).met


def test_but_not_after_an_answer_began() -> None:
    answered = {"up_1", "up_2", "x"}
    assert not rows_match_upstreams(evidence(ROW, ledgers=came_again("x"), answered=answered)).met


def test_a_request_whose_answer_never_arrived_has_its_row() -> None:
    attempts = (attempt(1, 500, "up_1"), attempt(2, 500, None))
    assert rows_match_upstreams(evidence(ROW, attempts=attempts)).met
    assert not rows_match_upstreams(
        evidence(ROW, attempts=attempts, ledgers={"a": {"up_1": 1}})
    ).met


def test_no_credential_on_another_accounts_tunnel() -> None:
    assert no_credential_astray(evidence(ROW)).met
    assert not no_credential_astray(evidence(ROW, strays={"a": ["b"]})).met
    assert not no_credential_astray(evidence(ROW, connects={("nobody", "refused"): 1})).met
