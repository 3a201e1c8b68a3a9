import pytest

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.respond import rate_limit_headers, refusal
from neurolink_mitm.sandbox.state import Sandbox

KEY = Account("a", "k")
LOGIN = Account("o", "t", "oauth")
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
SANDBOX = Sandbox([KEY], clock=lambda: 0.0)


def request(account: str | None) -> Received:
    return Received("POST", "/v1/messages", [], 0.0, "req_1", account=account)


def test_a_refusal_names_the_request() -> None:
    response = refusal(SANDBOX, request(None), 404, "Not Found")
    assert response.headers["request-id"] == "req_1"
    assert b'"request_id":"req_1"' in response.body


def test_limits_come_with_an_accounts_refusal_only() -> None:
    name = "anthropic-ratelimit-requests-limit"
    assert name in refusal(SANDBOX, request("a"), 400, "faulty").headers
    assert name not in refusal(SANDBOX, request(None), 401, "unknown").headers


@pytest.mark.parametrize(("limited", "left"), [(False, "999"), (True, "0")])
def test_an_api_key_has_the_classic_ones(limited: bool, left: str) -> None:
    headers = rate_limit_headers(KEY, limited, NOON)
    assert headers["anthropic-ratelimit-requests-limit"] == "1000"
    assert headers["anthropic-ratelimit-requests-remaining"] == left
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-01-01T12:01:00Z"
    assert not any("unified" in name for name in headers)


@pytest.mark.parametrize(("limited", "status"), [(False, "allowed"), (True, "rejected")])
def test_a_subscription_has_the_unified_ones(limited: bool, status: str) -> None:
    headers = rate_limit_headers(LOGIN, limited, NOON)
    assert headers["anthropic-ratelimit-unified-status"] == status
    assert headers["anthropic-ratelimit-unified-5h-status"] == status
    assert headers["anthropic-ratelimit-unified-7d-status"] == "allowed"
    assert headers["anthropic-ratelimit-unified-representative-claim"] == "five_hour"
    assert headers["anthropic-ratelimit-unified-fallback-percentage"] == "0.5"
    assert all("unified" in name for name in headers)


def test_windows_end_in_time() -> None:
    headers = rate_limit_headers(LOGIN, False, NOON)
    five_hours = int(headers["anthropic-ratelimit-unified-5h-reset"]) - NOON
    seven_days = int(headers["anthropic-ratelimit-unified-7d-reset"]) - NOON
    assert 0 < five_hours <= 5 * 3600
    assert 0 < seven_days <= 7 * 86400


def test_a_used_up_window_is_reset_when_the_429_says_so() -> None:
    limited = rate_limit_headers(LOGIN, True, NOON, "90")
    assert int(limited["anthropic-ratelimit-unified-5h-reset"]) == NOON + 90
    for wait in (None, "soon", "-1"):
        assert rate_limit_headers(LOGIN, True, NOON, wait) == rate_limit_headers(LOGIN, True, NOON)
    assert rate_limit_headers(LOGIN, False, NOON, "90") == rate_limit_headers(LOGIN, False, NOON)
