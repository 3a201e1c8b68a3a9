from __future__ import annotations

import pytest

from neurolink_mitm.core.auth.certificate_names import covers, first_covered

NAMES = ("localhost", "127.0.0.1", "*.example.com", "*")


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("pool.example.com", True),
        ("a.pool.example.com", False),
        ("example.com", False),
        (".example.com", True),
        ("x", False),
        ("", False),
    ],
)
def test_a_wildcard_stands_for_one_label(host: str, *, covered: bool) -> None:
    assert covers(NAMES, host) is covered


def test_the_first_that_is_covered() -> None:
    assert first_covered(NAMES, ("::1", "localhost", "127.0.0.1")) == "localhost"
    assert first_covered(NAMES, ("::1",)) is None
