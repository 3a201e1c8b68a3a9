from __future__ import annotations

import pytest

from neurolink_mitm.core.oauth import Trouble
from neurolink_mitm.core.pool import Pool
from neurolink_mitm.core.renewal import take_over
from neurolink_mitm.core.secret import Secret
from tests.fakes import NOW, make_account

ACCOUNT = make_account("a", "sk-ant-oat-test-a")
RENEWED = Secret("sk-ant-oat-test-a-2")
RELOGIN = make_account("a", "sk-ant-oat-test-z")


def test_a_new_token_is_used() -> None:
    pool = Pool([ACCOUNT])
    take_over(pool, ACCOUNT, secret=RENEWED, expires_at=NOW, trouble=None, message="")
    assert [(a.secret, a.expires_at) for a in pool.accounts] == [(RENEWED, NOW)]


def test_a_refused_refresh_token_asks_for_a_login() -> None:
    pool, trouble = Pool([ACCOUNT]), Trouble.INVALID_GRANT
    take_over(pool, ACCOUNT, secret=ACCOUNT.secret, expires_at=NOW, trouble=trouble, message="no")
    assert [a.disabled for a in pool.accounts] == ["needs login: no"]


@pytest.mark.parametrize("trouble", [None, Trouble.INVALID_GRANT])
def test_a_login_that_came_meanwhile_stays(trouble: Trouble | None) -> None:
    pool = Pool([RELOGIN])
    secret = ACCOUNT.secret if trouble else RENEWED
    take_over(pool, ACCOUNT, secret=secret, expires_at=NOW, trouble=trouble, message="no")
    assert pool.accounts == (RELOGIN,)
