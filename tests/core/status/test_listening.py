from __future__ import annotations

from dataclasses import dataclass

import pytest

from neurolink_mitm.core.status.listening import IN_CLEAR, exposure, listen_report, validity

DAY = 86_400.0


@dataclass
class Shown:
    path: str = "c.pem"
    fingerprint: str = "ab"
    names: tuple[str, ...] = ("localhost", "pool.example")
    begins: float = 0.0
    ends: float = 100 * DAY


@pytest.mark.parametrize(
    ("host", "certificate", "warnings"),
    [
        ("127.0.0.1", None, []),
        ("localhost", None, []),
        ("0.0.0.0", None, [IN_CLEAR]),  # noqa: S104 - compared with, not bound to
        ("", None, [IN_CLEAR]),
        ("10.0.0.1", Shown(), []),
    ],
)
def test_keys_in_clear(host: str, certificate: Shown | None, warnings: list[str]) -> None:
    assert list(exposure(host, certificate, ("pool.example",))) == warnings


def test_a_host_that_the_certificate_is_not_for() -> None:
    [warning] = exposure("", Shown(), ("pool.example", "other.example"))
    assert "is not for other.example" in warning


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (-1, "is not valid before 1970-01-01"),
        (50, None),
        (90, "expires on 1970-04-11, in 10 days"),
        (101, "has expired on 1970-04-11"),
    ],
)
def test_its_time(day: float, words: str | None) -> None:
    lines = list(validity("c.pem", 0, 100 * DAY, day * DAY))
    assert [words in line for line in lines if words] == ([True] if words else [])
    assert bool(lines) is bool(words)


def test_the_report() -> None:
    assert listen_report("127.0.0.1", Shown(), ["pool.example"], 0) == {
        "certificate": {
            "path": "c.pem",
            "sha256": "ab",
            "names": ["localhost", "pool.example"],
            "until": "1970-04-11T00:00:00Z",
        },
        "hosts": ["pool.example"],
        "warnings": [],
    }
