"""Which HTTP proxy the environment names for a URL."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.request.http_proxy import HttpProxies
from neurolink_mitm.core.request.target import Via

URL = "https://api.example.com"


def via(environ: dict[str, str], url: str = URL, own: str | None = None) -> str | None:
    found = HttpProxies.read(environ).via(url, own)
    return found.url if found else None


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        pytest.param({}, URL, None, id="none"),
        pytest.param({"HTTPS_PROXY": "http://p:1"}, URL, "http://p:1", id="upper"),
        pytest.param({"https_proxy": "http://p:1"}, URL, "http://p:1", id="lower"),
        pytest.param({"https_proxy": "l:1", "HTTPS_PROXY": "u:1"}, URL, "http://l:1", id="lower-first"),
        pytest.param({"https_proxy": "", "HTTPS_PROXY": "u:1"}, URL, None, id="lower-empty-hides"),
        pytest.param({"HTTPS_PROXY": "p:3128"}, URL, "http://p:3128", id="no-scheme"),
        pytest.param({"HTTPS_PROXY": "p"}, URL, "http://p:80", id="no-port"),
        pytest.param({"HTTPS_PROXY": "https://p"}, URL, "https://p:443", id="https-no-port"),
        pytest.param({"HTTPS_PROXY": " http://p:1/ "}, URL, "http://p:1", id="slash-and-spaces"),
        pytest.param({"ALL_PROXY": "p:1"}, URL, "http://p:1", id="all"),
        pytest.param({"all_proxy": "p:1"}, URL, "http://p:1", id="all-lower"),
        pytest.param({"ALL_PROXY": "a:1", "HTTPS_PROXY": "p:1"}, URL, "http://p:1", id="all-last"),
        pytest.param({"ALL_PROXY": "socks5://a:1", "HTTPS_PROXY": "p:1"}, URL, "http://p:1", id="socks-unused"),
        pytest.param({"HTTP_PROXY": "p:1"}, URL, None, id="other-scheme"),
        pytest.param({"HTTP_PROXY": "p:1"}, "http://h.example", "http://p:1", id="http"),
        pytest.param({"HTTPS_PROXY": "p:1"}, "https://127.0.0.1:9", None, id="loopback"),
        pytest.param({"HTTPS_PROXY": "p:1"}, "https://localhost", None, id="localhost"),
        pytest.param({"HTTPS_PROXY": "[::1]:9"}, URL, "http://[::1]:9", id="ipv6"),
        pytest.param({"HTTPS_PROXY": "u:p%40w%25@p:1"}, URL, "http://u:p%40w%25@p:1", id="encoded"),
        pytest.param({"HTTPS_PROXY": "http://u:p@w:#/?@p:1"}, URL, "http://u:p%40w%3A%23%2F%3F@p:1", id="unencoded"),
        pytest.param({"HTTPS_PROXY": "http://DOM\\u:p@p:1"}, URL, "http://DOM%5Cu:p@p:1", id="domain-user"),
    ],
)  # fmt: skip
def test_the_environments(environ: dict[str, str], url: str, expected: str | None) -> None:
    assert via(environ, url) == expected


@pytest.mark.parametrize(
    ("spared", "host", "goes_past"),
    [
        ("api.example.com", "api.example.com", True),
        ("example.com", "api.example.com", True),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("ample.com", "api.example.com", False),
        ("EXAMPLE.COM", "api.example.com", True),
        ("other.com", "api.example.com", False),
        ("a.com b.com, example.com", "api.example.com", True),
        ("*", "api.example.com", True),
        ("example.com:443", "api.example.com", True),
        ("example.com:8443", "api.example.com", False),
        ("example.com:8443", "api.example.com:8443", True),
        ("https://example.com", "api.example.com", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7:443", "10.0.0.7", True),
        ("10.0.0.0/8", "api.example.com", False),
        ("2001:db8::/32", "[2001:db8::1]", True),
        ("[2001:db8::1]:443", "[2001:db8::1]", True),
        ("2001:db8::1", "[2001:db8::2]", False),
        ("", "api.example.com", False),
        (" , ,", "api.example.com", False),
        ("300.0.0.0/8,1/99", "api.example.com", False),
    ],
)
def test_what_goes_past_it(spared: str, host: str, goes_past: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        found = via({"HTTPS_PROXY": "p:1", name: spared}, f"https://{host}")
        assert found == (None if goes_past else "http://p:1")


@pytest.mark.parametrize(
    ("own", "expected"),
    [(None, "http://p:1"), ("own:2", "http://own:2"), ("direct", None)],
    ids=["none", "own", "direct"],
)
def test_an_accounts_own_goes_first(own: str | None, expected: str | None) -> None:
    assert via({"HTTPS_PROXY": "p:1"}, own=own) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("socks5://me:hunter2@p:1", "socks5:// proxies can't be used"),
        ("socks://p:1", "socks:// proxies can't be used"),
        ("ftp://p", "ftp:// proxies can't be used"),
        ("http://me:hunter2@p:port", "must be an HTTP proxy"),
        ("http://p:0", "must be an HTTP proxy"),
        ("http://p:99999", "must be an HTTP proxy"),
        ("http://", "must be an HTTP proxy"),
        ("http:/p:1", "must be an HTTP proxy"),
        ('"http://p:1"', "must be an HTTP proxy"),
        ("http://[::1:9", "must be an HTTP proxy"),
        ("p p:1", "must be an HTTP proxy"),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_what_can_not_be_used_is_told_by_its_name(name: str, value: str, said: str) -> None:
    fault = HttpProxies.read({name: value}).fault(URL)
    assert fault is not None
    assert fault.startswith(f"{name}: {said}")
    assert "hunter2" not in fault


def test_what_is_not_asked_is_no_fault() -> None:
    proxies = HttpProxies.read({"HTTPS_PROXY": "socks5://p:1", "NO_PROXY": "example.com"})
    assert proxies.fault(URL) is None


def test_nothing_shows_a_password() -> None:
    proxies = HttpProxies.read({"HTTPS_PROXY": "http://me:hunter2@p:1"})
    found = proxies.via(URL)
    assert found
    assert "hunter2" not in repr(proxies) + repr(found) + found.shown
    assert found.shown == "http://…@p:1"


def test_for_other_programs_in_the_form_that_all_know() -> None:
    environ = {
        "https_proxy": "u:p@h:1",
        "ALL_PROXY": "socks5://a:2",
        "NO_PROXY": ".a.com, 10.0.0.0/8 *.b.com:99",
    }
    assert HttpProxies.read(environ).variables() == {
        "HTTPS_PROXY": "http://u:p@h:1",
        "NO_PROXY": "a.com,10.0.0.0/8,b.com:99",
    }  # fmt: skip


def test_a_via_says_who_names_it() -> None:
    found = HttpProxies.read({"ALL_PROXY": "p:1"}).via(URL)
    assert found == Via("http", "p", 1)
    assert found
    assert found.source == "ALL_PROXY"
