from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request.target import Target, Via, with_beta_query


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.anthropic.com", Target("https", "api.anthropic.com", 443)),
        ("https://api.anthropic.com/", Target("https", "api.anthropic.com", 443)),
        ("http://localhost", Target("http", "localhost", 80)),
        ("http://127.0.0.1:4000", Target("http", "127.0.0.1", 4000)),
        ("https://gate.example/anthropic", Target("https", "gate.example", 443, "/anthropic")),
        ("https://gate.example:8443/a/b//", Target("https", "gate.example", 8443, "/a/b")),
        ("http://[::1]:4000", Target("http", "::1", 4000)),
        ("HTTPS://Gate.Example", Target("https", "gate.example", 443)),
    ],
    ids=["default", "slash", "http", "port", "path", "port-and-path", "ipv6", "capitals"],
)
def test_parse(url: str, target: Target) -> None:
    assert Target.parse(url) == target


@pytest.mark.parametrize(
    "url",
    ["", "api.anthropic.com", "//api.anthropic.com", "ftp://api.anthropic.com", "https://", "https:",
     "https://:443", "https://host:port", "https://host:65536", "https://[::1", "unix:/socket"],
)  # fmt: skip
def test_this_is_no_base_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Target.parse(url)


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (Target("https", "h", 443), "h"),
        (Target("http", "h", 80), "h"),
        (Target("http", "h", 443), "h:443"),
        (Target("https", "h", 8443), "h:8443"),
        (Target("http", "::1", 80), "[::1]"),
        (Target("http", "::1", 4000), "[::1]:4000"),
    ],
)
def test_the_host_header_names_the_port_only_if_it_must(target: Target, authority: str) -> None:
    assert target.authority == authority


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["h", "api.example", "127.0.0.1", "::1", "2001:db8::1"]),
    st.integers(1, 65535),
    st.sampled_from(["", "/a", "/a/b"]),
)
def test_a_target_is_its_url(scheme: str, host: str, port: int, prefix: str) -> None:
    target = Target(scheme, host, port, prefix)
    assert Target.parse(f"{scheme}://{target.authority}{prefix}") == target


@pytest.mark.parametrize(
    ("url", "via"),
    [
        ("http://proxy.example:3128", Via("http", "proxy.example", 3128)),
        ("https://proxy.example", Via("https", "proxy.example", 443)),
        ("http://u:p@proxy.example", Via("http", "proxy.example", 80, "Basic dTpw")),
        ("http://u@proxy.example", Via("http", "proxy.example", 80, "Basic dTo=")),
        ("http://%40:%3A@proxy.example", Via("http", "proxy.example", 80, "Basic QDo6")),
    ],
    ids=["plain", "https", "password", "no-password", "escaped"],
)
def test_a_proxy_on_the_way(url: str, via: Via) -> None:
    assert Via.parse(url) == via


def test_a_proxys_password_is_not_shown() -> None:
    assert "dTpw" not in repr(Via.parse("http://u:p@proxy.example"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages", "/v1/messages?beta=true"),
        ("/v1/messages?", "/v1/messages?beta=true"),
        ("/v1/messages?a=1", "/v1/messages?a=1&beta=true"),
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/v1/messages?beta=false", "/v1/messages?beta=false"),
        ("/v1/messages?a=1&beta=true&b=2", "/v1/messages?a=1&beta=true&b=2"),
        ("/v1/messages?beta", "/v1/messages?beta"),
        ("/v1/messages?beta2=true", "/v1/messages?beta2=true&beta=true"),
        ("/v1/messages?a=beta=true", "/v1/messages?a=beta=true&beta=true"),
        ("/beta=true", "/beta=true?beta=true"),
    ],
)
def test_beta_in_the_query(path: str, expected: str) -> None:
    assert with_beta_query(path) == expected


@given(st.from_regex(r"/[a-z/]{0,9}(\?[a-z=&?]{0,12})?", fullmatch=True))
def test_beta_is_added_once_and_nothing_is_lost(path: str) -> None:
    once = with_beta_query(path)
    assert with_beta_query(once) == once
    assert once.startswith(path.removesuffix("?"))
