from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.notify import NOTICE_KINDS
from neurolink_mitm.notices.conditions import Condition
from neurolink_mitm.notices.event import LONGEST, encode, event_of, signature, trial_event
from tests.fakes import NOW
from tests.test_docs import first_cells, section


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            Condition("needs-login", "", "a@b.example"),
            "Account a@b.example needs a login: neurolink auth login anthropic --label a@b.example",
        ),
        (
            Condition("needs-login", "", "x'; id; '"),
            "Account x'; id; ' needs a login: neurolink auth login anthropic --label"
            """ 'x'"'"'; id; '"'"''""",
        ),
        (
            Condition("window-80", "", "work", "5h", 0.834, NOW + 3600),
            "Account work has used 83% of its 5-hour window, which is reset at 10:53 CET.",
        ),
        (
            Condition("window-80", "", "work", "7d_oi", 1.2, NOW + 3 * 86_400),
            "Account work has used all of its 7d_oi window, which is reset at Sun 09:53 CET.",
        ),
        (
            Condition("window-80", "", "work", "7d", None),
            "Account work has used all of its 7-day window.",
        ),
        (
            Condition("all-cooling", "", "work", reset=NOW + 3600),
            "No account can serve Claude Code now; the first, work, is back at 10:53 CET.",
        ),
        (Condition("back", "", "work"), "Claude Code is served again by account work."),
        (Condition("back", ""), "Claude Code is served again."),
        (
            Condition("paid-fallback", "", "openai/gpt-x"),
            "No subscription can serve now: openai/gpt-x does, which is paid per use.",
        ),
        (
            Condition("cap", "", reset=NOW + 3600, spent_usd=20.001, cap_usd=20.0),
            "The daily cap is reached: $20.00 of $20.00; more can be spent from 10:53 CET.",
        ),
        (
            Condition("cap", "", client="ci", spent_usd=2.5, cap_usd=2.0),
            "Client ci's daily cap is reached: $2.50 of $2.00.",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Condition) else None,
)
def test_the_message_says_it_in_local_time(condition: Condition, expected: str) -> None:
    assert event_of(condition, "ntc_1", NOW).message == expected


def test_the_event_as_json() -> None:
    condition = Condition("window-80", "", "work", "5h", 0.834, NOW + 3600)
    assert json.loads(encode(event_of(condition, "ntc_1", NOW))) == {
        "event": "window-80",
        "id": "ntc_1",
        "at": "2025-10-09T08:53:20.000Z",
        "message": "Account work has used 83% of its 5-hour window, which is reset at 10:53 CET.",
        "account": "work",
        "window": "5h",
        "used": 0.834,
        "reset": "2025-10-09T09:53:20.000Z",
        "reason": None,
        "client": None,
        "spentUsd": None,
        "capUsd": None,
    }


def test_no_key_is_in_an_event_and_no_text_is_long() -> None:
    key = "sk-ant-api03-" + "x" * 90
    condition = Condition("needs-login", "", f"key {key}", reason=f"{key}\x1b[2J" + " word" * 9999)
    text = encode(event_of(condition, "ntc_1", NOW)).decode()
    assert "x" * 20 not in text
    assert "\\u001b" not in text
    assert len(text) < 3 * LONGEST


def test_a_mail_is_only_where_it_is_a_label() -> None:
    condition = Condition("needs-login", "", "me@x.example", reason="me@x.example was logged out")
    event = event_of(condition, "ntc_1", NOW)
    assert (event.account, event.reason) == ("me@x.example", "*** was logged out")


def test_the_page_names_every_field() -> None:
    cells = first_cells(section("notices.md", "The event"))
    assert {cell.strip("`") for cell in cells} == json.loads(encode(trial_event("", NOW))).keys()


def test_the_page_names_every_event() -> None:
    assert tuple(first_cells(section("notices.md", "Events"))) == NOTICE_KINDS


def test_the_signature_of_a_body() -> None:
    """As `printf '1760000000.{}' | openssl dgst -sha256 -hmac key` prints it."""
    expected = "5f2db4fbfe82c254ac32f1ccc5eff02389f2609d76031aa8b300fac9565df6f6"
    assert signature(b"{}", Secret("key"), NOW) == f"t=1760000000,v1={expected}"


@given(st.floats(allow_nan=False), st.floats(0, 1e308), st.text(max_size=30))
def test_any_numbers_can_be_told(reset: float, used: float, label: str) -> None:
    condition = Condition("window-80", "", label, "5h", used, reset, reset)
    assert json.loads(encode(event_of(condition, "n", NOW)))["window"] == "5h"
