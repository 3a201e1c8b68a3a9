from __future__ import annotations

from neurolink_mitm.core.shaping.tls_pins import TlsPins
from tests.core.shaping.drafts import draft

PINS = TlsPins({"API.example": ("aa", "bb")})


def test_the_hosts_pins_are_named() -> None:
    assert PINS.rewrite(draft(host="api.EXAMPLE")).pins == ("aa", "bb")


def test_another_host_has_none() -> None:
    before = draft(host="other.example")
    assert PINS.rewrite(before) is before
