from __future__ import annotations

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.status.forecast import forecast_report
from tests.fakes import NOW, make_account

HOUR = 3600.0
A, B = "anthropic:a", "anthropic:b"


def login(label: str, **how: object) -> Account:
    return make_account(label, f"sk-ant-oat01-{label}", **how)


def report_use(
    pool: Pool, key: str, name: str, used: float, hours: float, before: float = 0.0
) -> None:
    """The window was at `before` an hour ago, is at `used` now, and is reset in `hours`."""
    for at, share in ((NOW - HOUR, before), (NOW, used)):
        pool.take_quota(key, Quota(at, {name: Window(share, "", NOW + hours * HOUR, at)}))


def when(hours: float) -> str:
    return iso(NOW + hours * HOUR)


def test_the_pace_moves_to_the_next_account() -> None:
    """Not the second's own pace, which is none."""
    pool = Pool([login("a"), login("b")])
    report_use(pool, A, "5h", 0.5, 3.5, before=0.25)
    report_use(pool, B, "5h", 0.75, 4, before=0.75)
    dry = {"dryFrom": when(3), "dryTo": when(3.5)}
    assert forecast_report(pool, NOW) == {**dry, "models": {}}


def test_all_that_is_used_together_counts() -> None:
    pool = Pool([login("a"), login("b")])
    report_use(pool, A, "5h", 0.5, 4, before=0.25)
    report_use(pool, B, "5h", 0.5, 5, before=0.25)
    assert forecast_report(pool, NOW) == {
        "dryFrom": when(2),
        "dryTo": when(4),
        "models": {},
    }


def test_a_family_has_a_forecast_of_its_own() -> None:
    pool = Pool([login("a")])
    report_use(pool, A, "5h", 0.2, 4, before=0.1)
    report_use(pool, A, "7d_oi", 0.8, 48, before=0.4)
    assert forecast_report(pool, NOW) == {
        "dryFrom": None,
        "dryTo": None,
        "models": {"*fable*": {"dryFrom": when(0.5), "dryTo": when(48)}},
    }


def test_what_cools_now_is_dry_now() -> None:
    pool = Pool([login("a"), login("b"), make_account("key")])
    for key, until in ((A, NOW + 60), (B, NOW + 30)):
        reset = NOW + HOUR if key == A else None
        pool.account_state(key).cooldowns["*"] = Cooldown(1, NOW, until, "x", resets_at=reset)
    found = forecast_report(pool, NOW)
    assert found == {"dryFrom": iso(NOW), "dryTo": iso(NOW + 30), "models": {}}


def test_who_is_out_of_use_is_left_out() -> None:
    assert forecast_report(Pool([make_account("key")]), NOW) is None
    assert forecast_report(Pool([login("a", disabled="by its owner")]), NOW) is None
    pool = Pool([login("a"), login("b", enabled=False)])
    report_use(pool, A, "5h", 0.5, 4, before=0.25)
    found = forecast_report(pool, NOW)
    assert found is not None
    assert found["dryFrom"] == when(2)
