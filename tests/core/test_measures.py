from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.measures import METRICS, OTHER, Bounded, Measure, measures
from neurolink_mitm.core.record import attempt_row, request_row
from tests.fakes import make_account, make_attempt, make_exchange

ROW = msgspec.structs.replace(
    request_row(make_exchange()),
    model="claude-x",
    provider="anthropic",
    account="work",
    outcome="complete",
    actualModel="claude-x",
    responseStatus=200,
    responseTimeMs=1500.0,
    ttfbMs=200.0,
    inputTokens=7,
    outputTokens=5,
    cacheReadTokens=0,
    cacheCreationTokens=None,
    costUsd=0.25,
)
BASE = {"model": "claude-x", "provider": "anthropic", "account": "work"}
NOTHING: dict[str, Any] = {"body_bytes": 0, "error_type": None, "served_by": None, "gen_ai": {}}
GEN_AI = {"gen_ai.system": "anthropic"}
FAILED = attempt_row(make_exchange(), make_attempt(make_account("home"), status=429))
SERVED = attempt_row(make_exchange(), make_attempt(make_account("work"), status=200))


def told(
    *attempts: Any, error: str | None = None, served_by: str | None = "claude-x", **changes: Any
) -> dict[str, Measure]:
    row = msgspec.structs.replace(ROW, **changes)
    made = measures(
        row, attempts, body_bytes=9, error_type=error, served_by=served_by, gen_ai=GEN_AI
    )
    return {measure.name: measure for measure in made}


def test_a_request_is_counted_and_measured() -> None:
    found = told(SERVED)
    assert found["proxy_requests_total"] == Measure(
        "proxy_requests_total", 1, {**BASE, "outcome": "complete", "status": "200"}
    )
    assert found["proxy_request_duration_ms"].value == 1500.0
    assert found["proxy_first_byte_ms"].value == 200.0
    assert found["proxy_request_body_bytes"].value == 9
    assert found["proxy_cost_usd_total"] == Measure("proxy_cost_usd_total", 0.25, BASE)
    assert found["proxy_tokens_input_total"].value == 7


@pytest.mark.parametrize(
    "name",
    ["proxy_errors_total", "proxy_retries_total", "proxy_tokens_cache_read_total",
     "proxy_tokens_cache_creation_total", "proxy_model_substitution_total"],
)  # fmt: skip
def test_what_did_not_happen_is_not_told(name: str) -> None:
    assert name not in told(SERVED)


def test_an_error_is_counted_by_its_type() -> None:
    found = told(FAILED, error="rate_limit_error")["proxy_errors_total"]
    assert found.labels.items() >= {**BASE, "error_type": "rate_limit_error"}.items()


def test_attempts_beyond_the_first_are_retries() -> None:
    made = measures(ROW, (FAILED, FAILED, SERVED), **NOTHING)
    found = [each for each in made if each.name == "proxy_retries_total"]
    assert found == [Measure("proxy_retries_total", 1, {"account": "home"})] * 2


def test_each_attempt_is_counted_for_its_account() -> None:
    made = measures(ROW, (FAILED, SERVED), **NOTHING)
    found = [each.labels for each in made if each.name == "proxy_attempts_total"]
    assert found == [
        {"account": "home", "provider": "anthropic", "status": "429"},
        {"account": "work", "provider": "anthropic", "status": "200"},
    ]


def test_another_model_is_a_substitution() -> None:
    found = told(SERVED, served_by="gpt-x", provider="openai")["proxy_model_substitution_total"]
    assert found.labels == {"asked": "claude-x", "actual": "gpt-x", "provider": "openai"}


def test_a_dated_name_is_no_substitution() -> None:
    assert "proxy_model_substitution_total" not in told(SERVED, actualModel="claude-x-20260101")


def test_every_measure_has_its_metric() -> None:
    full = told(FAILED, SERVED, error="x", served_by="y", cacheReadTokens=1, cacheCreationTokens=1)
    assert set(full) == set(METRICS)


def test_labels_that_callers_make_up_are_bounded() -> None:
    bounded = Bounded(distinct=2)
    found = [bounded({"model": f"m{i}", "account": "a"})["model"] for i in (1, 2, 3, 1, 4)]
    assert found == ["m1", "m2", OTHER, "m1", OTHER]
    assert bounded({"model": "m5", "account": "a"})["account"] == "a"


def test_the_conventions_count_all_input() -> None:
    row = msgspec.structs.replace(ROW, cacheReadTokens=100, cacheCreationTokens=10)
    made = list(measures(row, (SERVED,), **{**NOTHING, "gen_ai": GEN_AI}))
    used = [m for m in made if m.name == "gen_ai.client.token.usage"]
    assert {m.labels["gen_ai.token.type"]: m.value for m in used} == {"input": 117, "output": 5}
    [duration] = [m for m in made if m.name == "gen_ai.client.operation.duration"]
    assert (duration.value, duration.labels) == (1.5, GEN_AI)


def test_what_is_no_request_to_a_model_is_none_for_the_conventions() -> None:
    made = measures(ROW, (SERVED,), **NOTHING)
    assert [m for m in made if m.name.startswith("gen_ai.")] == []


def test_a_model_that_nobody_served_is_no_label() -> None:
    assert "model" not in told()["proxy_requests_total"].labels
