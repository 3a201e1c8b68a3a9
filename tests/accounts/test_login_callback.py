from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from neurolink_mitm.accounts.login_callback import Callback, can_be_caught


@pytest.fixture
def callback() -> Iterator[Callback]:
    with Callback("http://localhost/callback") as callback:
        yield callback


def visit(callback: Callback, *queries: str, path: str | None = None) -> list[httpx.Response]:
    url = callback.uri if path is None else callback.uri.replace("/callback", path)
    with httpx.Client(trust_env=False) as browser:
        return [browser.get(f"{url}?{query}") for query in queries]


def waiting(
    callback: Callback, *queries: str, path: str | None = None
) -> tuple[str | None, list[httpx.Response]]:
    """What comes of these visits, which are made while it waits."""
    seen: list[httpx.Response] = []
    browser = threading.Thread(target=lambda: seen.extend(visit(callback, *queries, path=path)))
    browser.start()
    code = callback.wait("st", 0.8 if path else 5.0)
    browser.join(5)
    return code, seen


def test_it_listens_on_a_free_port_where_none_is_given(callback: Callback) -> None:
    assert callback.uri.startswith("http://localhost:")
    assert callback.uri.endswith("/callback")


def test_the_code_of_this_login_is_caught(callback: Callback) -> None:
    code, (seen,) = waiting(callback, "code=c&state=st")
    assert (code, seen.status_code) == ("c", 200)
    assert "You can close this page" in seen.text


def test_other_logins_and_pages_are_let_pass(callback: Callback) -> None:
    code, seen = waiting(callback, "code=evil&state=other", "code=evil", "code=c&state=st")
    assert (code, [each.status_code for each in seen]) == ("c", [400, 400, 200])
    assert "evil" not in "".join(each.text for each in seen)


def test_other_paths_are_not_found(callback: Callback) -> None:
    code, (seen,) = waiting(callback, "code=c", path="/favicon.ico")
    assert (code, seen.status_code) == (None, 404)


def test_a_refusal_ends_it(callback: Callback) -> None:
    code, (seen,) = waiting(callback, "error=access_denied&state=st")
    assert (code, seen.status_code, callback.refused) == (None, 400, "access_denied")


def test_patience_ends(callback: Callback) -> None:
    assert callback.wait("st", 0.1) is None


def test_a_port_that_is_given_is_used(callback: Callback) -> None:
    with pytest.raises(OSError, match="in use"):
        Callback(callback.uri)


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("http://localhost:1/x", True),
        ("http://127.0.0.2/", True),
        ("http://[::1]:5/", True),
        ("https://console.anthropic.com/oauth/code/callback", False),
        ("http://localhost.example.com/", False),
    ],
)
def test_loopback_is_known(url: str, answer: bool) -> None:
    assert can_be_caught(url) is answer
