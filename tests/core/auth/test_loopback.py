from __future__ import annotations

import pytest

from neurolink_mitm.core.auth.loopback import ipv6, is_loopback

ALL = "0.0.0.0"  # noqa: S104 - compared with, not bound to


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.255.0.1", "::1"])
def test_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", ALL, "::", "192.168.1.7", "desk", "localhost.x", "128.0.0.1"])
def test_others_reach(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("address", "short"),
    [("2001:DB8:0:0::7", "2001:db8::7"), ("::1", "::1"), ("127.0.0.1", ""), ("x", ""), ("", "")],
)
def test_ipv6_has_one_form(address: str, short: str) -> None:
    assert ipv6(address) == short
