from __future__ import annotations

import pytest

from neurolink_mitm.accounts.browser_logins import MOST_OF_ONE, SECONDS, LoginOverError, Logins
from neurolink_mitm.adapters.oauth_client import Login
from neurolink_mitm.core.redact.secret import Secret

LOGIN = Login("https://login.example/?state=s", "s", Secret("v"), "https://login.example/code")


def test_a_login_is_finished_by_one_at_a_time() -> None:
    logins = Logins()
    id_ = logins.begin("me", LOGIN, "work").id
    with logins.finishing("me", id_):
        with (
            pytest.raises(LoginOverError, match="is being tried already"),
            logins.finishing("me", id_),
        ):
            pass
        with pytest.raises(LoginOverError, match="is over"), logins.finishing("another", id_):
            pass
    assert logins.of("me") == []


def test_a_login_ends_after_a_while() -> None:
    now = [0.0]
    logins = Logins(lambda: now[0])
    id_ = logins.begin("me", LOGIN, None).id
    now[0] = SECONDS - 1
    assert [each.id for each in logins.of("me")] == [id_]
    now[0] = SECONDS
    assert logins.of("me") == []
    with pytest.raises(LoginOverError), logins.finishing("me", id_):
        pass


def test_the_oldest_of_too_many_goes() -> None:
    logins = Logins()
    ids = [logins.begin("me", LOGIN, None).id for _ in range(MOST_OF_ONE + 2)]
    logins.begin("another", LOGIN, None)
    assert [each.id for each in logins.of("me")] == ids[:1:-1]


def test_nothing_of_a_login_is_shown() -> None:
    shown = repr(Logins().begin("owner-of-it", LOGIN, "work"))
    assert "owner-of-it" not in shown
    assert "state=s" not in shown
