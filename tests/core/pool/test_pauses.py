from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.pool.accounts import with_pauses
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pauses import (
    LONGEST_REASON,
    Pause,
    encode_pauses,
    parse_pauses,
    pause_reason,
    utc,
)
from neurolink_mitm.core.pool.pool import Pool
from tests.fakes import NOW, make_account


def test_what_is_written_is_read_again_without_what_is_over() -> None:
    pauses = {
        "anthropic:a": Pause(NOW + 5, "meeting"),
        "anthropic:b": Pause(None, ""),
        "anthropic:c": Pause(NOW, "over"),
    }
    data = encode_pauses(pauses, NOW)
    assert utc(NOW + 5).encode() in data
    assert parse_pauses(data) == {
        "anthropic:a": Pause(NOW + 5, "meeting"),
        "anthropic:b": Pause(None, ""),
    }


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("{}", Pause()),
        ('{"until": null, "reason": null}', Pause()),
        ('{"until": 1900000000000, "more": 1}', Pause(1_900_000_000.0)),
        ('{"until": 1900000000}', Pause(1_900_000_000.0)),
        ('{"until": "2030-03-17T18:46:40+01:00"}', Pause(1_900_000_000.0)),
        ('{"until": 1e308}', Pause(253_402_300_799.0)),
    ],
)
def test_a_label_is_enough_and_times_come_in_any_unit(text: str, pause: Pause) -> None:
    assert parse_pauses(f'{{"work": {text}}}'.encode()) == {"anthropic:work": pause}


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"a": 1}', '{"a": {"until": "soon"}}', '{"a": {"until": []}}', "[" * 99999, '{"a": '],
)  # fmt: skip
def test_a_broken_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_pauses(text.encode())


def test_a_reason_is_one_line() -> None:
    assert pause_reason(" a\r\nb\x1b[31m\t") == "a b [31m"
    assert len(pause_reason("x" * 999)) == LONGEST_REASON


def test_a_paused_account_is_skipped_and_comes_back_by_itself() -> None:
    accounts = (make_account("a"), make_account("b"))
    pool = Pool(accounts)
    pool.update(with_pauses(accounts, {"anthropic:a": Pause(NOW + 5, "why")}))
    assert chosen(pool, NOW) == "b"
    assert pool.choose(Requirements(), NOW).why == (
        f"took anthropic:b by fill-first; skipped anthropic:a: paused until {utc(NOW + 5)}: why"
    )
    assert chosen(pool, NOW + 5) == "a"


def test_nobody_waits_for_a_pause() -> None:
    account = make_account("a", paused=Pause(NOW + 5))
    pool = Pool((account,))
    assert pool.recoveries(Requirements(), NOW) == {}
    assert pool.ineligible(Requirements(), NOW)["anthropic:a"].until is None


def test_without_pauses_accounts_stay_the_same() -> None:
    accounts: Any = (make_account("a"),)
    assert with_pauses(accounts, {}) is accounts


def chosen(pool: Pool, now: float) -> str | None:
    account = pool.choose(Requirements(), now).account
    return account.label if account else None


def test_what_is_written_is_not_later_than_what_was_asked_for() -> None:
    """Else a pause of two hours is shown as one of two hours and a minute."""
    pauses = {"anthropic:work": Pause(NOW + 7200.4)}
    assert parse_pauses(encode_pauses(pauses, NOW)) == {"anthropic:work": Pause(NOW + 7200)}
