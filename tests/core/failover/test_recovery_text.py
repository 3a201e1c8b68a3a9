from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from neurolink_mitm.core.failover.recovery_text import (
    back_text,
    reason_text,
    timed,
    used_up_window,
    window_text,
)
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from tests.fakes import NOW

BERLIN = ZoneInfo("Europe/Berlin")  # 10:53:20 there
RESET = NOW + 2400
COOLING = Ineligible("cooling for 2400 s: rate limit (429)", RESET, NOW + 600)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "in 1 s"), (0.2, "in 1 s"), (60, "in 60 s"), (90, "at 10:54 CEST (in 2m)"),
     (180_000, "at Sat 12:53 CEST (in 2d2h)")],
)  # fmt: skip
def test_when_an_account_is_back(seconds: float, text: str) -> None:
    assert back_text(NOW + seconds, NOW, BERLIN) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("5h", "5-hour window"), ("7d", "weekly window"), ("7d_opus", "weekly Opus window"), ("30d", "30-day window"),
     ("7d_oi", "7d_oi window"), ("x", "x window")],
)  # fmt: skip
def test_windows_in_words(name: str, text: str) -> None:
    assert window_text(name) == text


def quota(claim: str = "", **windows: Window) -> Quota:
    return Quota(NOW, {name.removeprefix("w"): each for name, each in windows.items()}, claim=claim)


REJECTED = Window(None, "rejected", RESET + 1)
FULL = Window(1.0, "", RESET)
OPEN = Window(0.4, "allowed", RESET)


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        (None, None),
        (quota(), None),
        (quota(w5h=REJECTED), "5h"),
        (quota(w5h=FULL), "5h"),
        (quota(w5h=OPEN), None),
        (quota(w5h=Window(1.0, "rejected", RESET + 3600)), None),
        (quota(w5h=FULL, w7d_opus=REJECTED, claim="seven_day_opus"), "7d_opus"),
        (quota(w5h=FULL, claim="seven_day"), "5h"),
        (quota(claim="seven_day_opus"), "7d_opus"),
        (quota(claim="nonsense"), None),
    ],
    ids=["no quota", "no window", "rejected", "full", "open", "another reset", "the one claimed", "claimed another",
         "claimed only", "unknown claim"],
)  # fmt: skip
def test_the_window_that_an_account_waits_for(reported: Quota | None, name: str | None) -> None:
    assert used_up_window(COOLING, reported, NOW) == name


def test_a_short_cooldown_waits_for_no_window_that_is_only_claimed() -> None:
    short = Ineligible("cooling for 5 s: rate limit (429)", NOW + 5)
    assert used_up_window(short, quota(claim="five_hour"), NOW) is None


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (COOLING, "5-hour window used up until 11:33 CEST (in 40m)"),
        (Ineligible("cooling for 90 s: x", NOW + 90), "cooling until 10:54 CEST (in 2m): x"),
        (Ineligible("cooling for 9 s: x", NOW + 9), "cooling for 9 s: x"),
        (Ineligible("not enabled"), "not enabled"),
        (Ineligible("over its 5 requests a minute", RESET), "over its 5 requests a minute"),
    ],
    ids=["window", "cooldown", "short", "lasting", "rate"],
)
def test_why_an_account_is_ineligible(reason: Ineligible, text: str) -> None:
    assert reason_text(reason, quota(w5h=FULL), NOW, BERLIN) == text


def test_only_the_cooldowns_own_seconds_become_a_time() -> None:
    reason = "cooling for 90 s: asked to wait for 90 s"
    assert (
        timed(reason, NOW + 90, NOW, BERLIN)
        == "cooling until 10:54 CEST (in 2m): asked to wait for 90 s"
    )
