"""The proxy that the environment names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from neurolink_mitm.adapters.system_proxy import proxy_for, through_proxy
from tests.fakes import make_account

URL = "https://api.example.com"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "spared.example.com")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        (URL, "http://p:1"),
        ("https://spared.example.com", None),
        ("https://127.0.0.1:9", None),
        ("https://localhost", None),
        ("http://api.example.com", None),
    ],
    ids=["named", "spared", "loopback", "localhost", "other-scheme"],
)
def test_for_a_url(url: str, proxy: str | None) -> None:
    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    ("own", "proxy"),
    [(None, "http://p:1"), ("http://own:2", "http://own:2"), ("direct", "direct")],
    ids=["none", "own", "direct"],
)
def test_an_accounts_own_goes_first(own: str | None, proxy: str) -> None:
    account = replace(make_account(), base_url=URL, proxy_url=own)
    assert through_proxy(account).proxy_url == proxy
