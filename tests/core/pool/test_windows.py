from __future__ import annotations

from dataclasses import replace

import pytest

from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import MAX_WINDOWS, Window
from tests.core.pool.test_quota import HOUR, UNIFIED, USED, five_hour, quota_of
from tests.fakes import NOW

EVERY_NAME = f"""
{UNIFIED}7d_oi-status: rejected
{UNIFIED}7d_oi-surpassed-threshold: 1.0
{UNIFIED}7d_opus-reset: 1760400000
{UNIFIED}7d-utilization: 0.2
{UNIFIED}5h-utilization: 0.1
{UNIFIED}status: allowed
{UNIFIED}reset: 1760003600
{UNIFIED}overage-status: rejected
{UNIFIED}overage-reset: 1760400000
{UNIFIED}overage-utilization: 0.0
{UNIFIED}fallback-percentage: 0.5
"""


def test_windows_of_any_name_are_read_the_accounts_first() -> None:
    windows = quota_of(EVERY_NAME).windows
    assert list(windows.items()) == [
        ("5h", Window(0.1)),
        ("7d", Window(0.2)),
        ("7d_oi", Window(None, "rejected")),
        ("7d_opus", Window(None, "", 1760400000.0)),
    ]


@pytest.mark.parametrize(
    "name", ["", "_x", "7D€", "a b", "../x", 'x"', "x" * 33, "x-y"], ids=lambda name: name[:4]
)
def test_a_name_that_is_none_is_no_window(name: str) -> None:
    assert not quota_of(f"{UNIFIED}{name}-utilization: 0.5\n{UNIFIED}status: allowed").windows


@pytest.mark.parametrize("status", ["\x1b[31m", "x" * 33, "a b"], ids=["escape", "long", "words"])
def test_a_status_that_is_no_word_is_left_out(status: str) -> None:
    assert five_hour(status=status) == Window(0.5)


def test_upstream_cannot_name_windows_without_end() -> None:
    many = "\n".join(f"{UNIFIED}x{n}-utilization: 0.5" for n in range(99))
    quota = quota_of(f"{UNIFIED}5h-utilization: 0.1\n{many}")
    assert (len(quota.windows), quota.used("5h")) == (MAX_WINDOWS, 0.1)
    for n in range(99):
        latest = f"{UNIFIED}5h-utilization: 0.1\n{UNIFIED}y{n}-utilization: 0.5"
        quota = quota_of(latest).after(quota)
        assert len(quota.windows) == MAX_WINDOWS
        assert f"y{n}" in quota.windows


def test_what_a_response_does_not_name_stays() -> None:
    before = quota_of(EVERY_NAME)
    quota = quota_of(f"{UNIFIED}7d-utilization: 0.3").after(before)
    assert quota.windows == {**before.windows, "7d": Window(0.3)}
    assert quota.fallback == 0.5


def test_what_has_been_reset_does_not_stay() -> None:
    before = replace(USED, windows={**USED.windows, "7d_x": Window(0.5)})
    latest = Quota(NOW + HOUR, {"7d": Window(0.3)})
    assert latest.after(before).windows == {"7d": Window(0.3)}
