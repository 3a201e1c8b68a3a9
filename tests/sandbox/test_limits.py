import pytest

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.limits import rate_limit_headers

KEY = Account("a", "k")
LOGIN = Account("o", "t", "oauth")
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


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
