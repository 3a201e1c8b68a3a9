from __future__ import annotations

from typing import Any

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.dashboard.rates import STEP, Rate, Rates
from tests.fakes import NOW


def response(tokens: int | None, name: str = "req_1", first_byte: float | None = NOW) -> Any:
    return {
        "requestId": name,
        "outputTokens": tokens,
        "firstByteAt": None if first_byte is None else iso(first_byte),
    }


def test_a_rate_is_the_mean_of_the_last_seconds() -> None:
    rates, seen = Rates(), []
    for second, tokens in enumerate((50, 100, 200, 300, 400, 400), start=1):
        seen.append(rates.of([response(tokens)], NOW + second)["req_1"])
    assert seen[0] == Rate(50, 50)
    assert seen[-1] == Rate(400, 200 / 3)


def test_a_rate_stays_for_a_second() -> None:
    rates = Rates()
    first = rates.of([response(50)], NOW + 1)
    assert rates.of([response(90)], NOW + 1 + STEP - 0.1) == first
    assert rates.of([response(90)], NOW + 1 + STEP)["req_1"].tokens == 90


def test_no_rate_without_tokens_or_time() -> None:
    rates = Rates()
    nothing = [response(None), response(5, "b", None), response(5, "c", NOW + 60)]
    assert rates.of(nothing, NOW) == {}


def test_a_clock_that_was_set_back() -> None:
    rates = Rates()
    rates.of([response(50)], NOW + 1)
    assert rates.of([response(60)], NOW - 100) == {}
    assert rates.of([response(40)], NOW + 1)["req_1"].a_second >= 0


def test_a_request_that_has_ended_is_forgotten() -> None:
    rates = Rates()
    rates.of([response(50)], NOW + 1)
    assert rates.of([], NOW + 3) == {}
    assert rates.of([response(10)], NOW + 5)["req_1"].a_second == 2
