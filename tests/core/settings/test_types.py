"""Kinds of values, each checked by itself; how faults are worded is tested with the whole."""

from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings import types as types


def read(hint: Any, given: object) -> object:
    (kind,) = types.plain(hint)[1]
    assert isinstance(kind, types.ValueType)
    return kind.read(given)


INFINITY, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        pytest.param(types.PositiveNumber, 2, 2.0, id="number"),
        pytest.param(types.PositiveNumber, "2.5", 2.5, id="number-of-a-variable"),
        pytest.param(types.Amount, 0, 0.0, id="amount-zero"),
        pytest.param(types.Seconds, 0.1, 0.1, id="seconds"),
        pytest.param(types.SecondsOrZero, 0, 0.0, id="no-seconds"),
        pytest.param(types.SpareCount, 16, 16, id="spares"),
        pytest.param(types.WholeNumber, -3, -3, id="whole-negative"),
        pytest.param(types.Count, "0", 0, id="count-of-a-variable"),
        pytest.param(types.PositiveCount, 60.0, 60, id="count-written-as-float"),
        pytest.param(types.Flag, "false", False, id="flag-of-a-variable"),
        pytest.param(types.Label, "büro & co", "büro & co", id="label"),
        pytest.param(types.Url, "http://h/a/", "http://h/a/", id="url-as-it-is"),
        pytest.param(types.BaseUrl, "https://h:8/a/", "https://h:8/a", id="base-url-without-slash"),
        pytest.param(types.BaseUrl, "http://[::1]:80", "http://[::1]:80", id="base-url-ipv6"),
        pytest.param(types.ProxyUrl, "direct", "direct", id="proxy-direct"),
        pytest.param(types.ProxyUrl, "http://u:p@h:3", "http://u:p@h:3", id="proxy-with-password"),
        pytest.param(types.ProxyUrl, "h:3128", "h:3128", id="proxy-without-scheme"),
        pytest.param(types.SecretText, " key\n", Secret("key"), id="secret-trimmed"),
        pytest.param(types.Pattern, r"a\.b", r"a\.b", id="pattern"),
        pytest.param(types.Fingerprint, "AB" * 32, "ab" * 32, id="fingerprint"),
        pytest.param(types.Fingerprint, ":".join(["0F"] * 32), "0f" * 32, id="fingerprint-openssl"),
    ],
)
def test_good(kind: Any, given: object, expected: object) -> None:
    assert read(kind, given) == expected


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *[(types.PositiveNumber, bad) for bad in (0, -1, "two", True, INFINITY, NAN, "inf", [])],
        *[(types.Amount, bad) for bad in (-0.1, False, NAN)],
        *[(types.Seconds, bad) for bad in (0, -1, 86_401, INFINITY, NAN, "10s", True)],
        *[(types.SecondsOrZero, bad) for bad in (-0.1, 86_401, INFINITY, NAN, "off", False)],
        *[(types.SpareCount, bad) for bad in (-1, 17, 0.5)],
        *[(types.WholeNumber, bad) for bad in (1.5, True, "x", INFINITY)],
        *[(types.Count, bad) for bad in (-1, 0.5)],
        *[(types.PositiveCount, bad) for bad in (0, -1)],
        *[(types.Flag, bad) for bad in (2, "maybe", [])],
        *[(types.Text, bad) for bad in ("", 1, True, [])],
        *[(types.Label, bad) for bad in ("", " a", "a\n", "a\r\nb", "x" * 65, "\x7f", 7)],
        *[(types.BaseUrl, bad) for bad in ("h", "//h", "ftp://h", "http://", "http://h:x")],
        *[
            (types.BaseUrl, bad)
            for bad in ("http://h:0", "http://h:70000", "http://[::1", "http:h")
        ],
        *[(types.BaseUrl, bad) for bad in ("http://h/a b", "http://h\n", "http://u:p@h")],
        *[(types.BaseUrl, bad) for bad in ("http://h?a", "http://h/#a")],
        *[(types.ProxyUrl, bad) for bad in ("socks5://h", "Direct", "h:port", "http://h:0", "")],
        *[(types.SecretText, bad) for bad in ("", "  ", "a b", "a\nb", "schlüssel", 5, None)],
        *[(types.Pattern, bad) for bad in ("(", "*", "a{99999999999}", "")],
        *[(types.Fingerprint, bad) for bad in ("ab", "g" * 64, "", "0" * 63)],
    ],
)
def test_bad(kind: Any, given: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(kind, given)
