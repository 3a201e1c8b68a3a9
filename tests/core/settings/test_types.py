"""Kinds of values, each checked by itself; how faults are worded is tested with the whole."""

from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings import types as kinds


def read(hint: Any, given: object) -> object:
    (kind,) = kinds.plain(hint)[1]
    assert isinstance(kind, kinds.Kind)
    return kind.read(given)


INFINITY, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        pytest.param(kinds.PositiveNumber, 2, 2.0, id="number"),
        pytest.param(kinds.PositiveNumber, "2.5", 2.5, id="number-of-a-variable"),
        pytest.param(kinds.Amount, 0, 0.0, id="amount-zero"),
        pytest.param(kinds.Seconds, 0.1, 0.1, id="seconds"),
        pytest.param(kinds.WholeNumber, -3, -3, id="whole-negative"),
        pytest.param(kinds.Count, "0", 0, id="count-of-a-variable"),
        pytest.param(kinds.PositiveCount, 60.0, 60, id="count-written-as-float"),
        pytest.param(kinds.Flag, "false", False, id="flag-of-a-variable"),
        pytest.param(kinds.Label, "büro & co", "büro & co", id="label"),
        pytest.param(kinds.Url, "http://h/a/", "http://h/a/", id="url-as-it-is"),
        pytest.param(kinds.BaseUrl, "https://h:8/a/", "https://h:8/a", id="base-url-without-slash"),
        pytest.param(kinds.BaseUrl, "http://[::1]:80", "http://[::1]:80", id="base-url-ipv6"),
        pytest.param(kinds.ProxyUrl, "direct", "direct", id="proxy-direct"),
        pytest.param(kinds.ProxyUrl, "http://u:p@h:3", "http://u:p@h:3", id="proxy-with-password"),
        pytest.param(kinds.ProxyUrl, "h:3128", "h:3128", id="proxy-without-scheme"),
        pytest.param(kinds.SecretText, " key\n", Secret("key"), id="secret-trimmed"),
        pytest.param(kinds.Pattern, r"a\.b", r"a\.b", id="pattern"),
        pytest.param(kinds.Fingerprint, "AB" * 32, "ab" * 32, id="fingerprint"),
        pytest.param(kinds.Fingerprint, ":".join(["0F"] * 32), "0f" * 32, id="fingerprint-openssl"),
    ],
)
def test_good(kind: Any, given: object, expected: object) -> None:
    assert read(kind, given) == expected


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *[(kinds.PositiveNumber, bad) for bad in (0, -1, "two", True, INFINITY, NAN, "inf", [])],
        *[(kinds.Amount, bad) for bad in (-0.1, False, NAN)],
        *[(kinds.Seconds, bad) for bad in (0, -1, 86_401, INFINITY, NAN, "10s", True)],
        *[(kinds.WholeNumber, bad) for bad in (1.5, True, "x", INFINITY)],
        *[(kinds.Count, bad) for bad in (-1, 0.5)],
        *[(kinds.PositiveCount, bad) for bad in (0, -1)],
        *[(kinds.Flag, bad) for bad in (2, "maybe", [])],
        *[(kinds.Text, bad) for bad in ("", 1, True, [])],
        *[(kinds.Label, bad) for bad in ("", " a", "a\n", "a\r\nb", "x" * 65, "\x7f", 7)],
        *[(kinds.BaseUrl, bad) for bad in ("h", "//h", "ftp://h", "http://", "http://h:x")],
        *[
            (kinds.BaseUrl, bad)
            for bad in ("http://h:0", "http://h:70000", "http://[::1", "http:h")
        ],
        *[(kinds.BaseUrl, bad) for bad in ("http://h/a b", "http://h\n", "http://u:p@h")],
        *[(kinds.BaseUrl, bad) for bad in ("http://h?a", "http://h/#a")],
        *[(kinds.ProxyUrl, bad) for bad in ("socks5://h", "Direct", "h:port", "http://h:0", "")],
        *[(kinds.SecretText, bad) for bad in ("", "  ", "a b", "a\nb", "schlüssel", 5, None)],
        *[(kinds.Pattern, bad) for bad in ("(", "*", "a{99999999999}", "")],
        *[(kinds.Fingerprint, bad) for bad in ("ab", "g" * 64, "", "0" * 63)],
    ],
)
def test_bad(kind: Any, given: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(kind, given)
