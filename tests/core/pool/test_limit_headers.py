from __future__ import annotations

import pytest

from neurolink_mitm.core.pool.limit_headers import MAX_VALUE, limit_headers
from neurolink_mitm.core.pool.windows import Window
from tests.core.pool.test_quota import fields, five_hour


def test_names_are_read_in_any_case() -> None:
    said = limit_headers(fields("Anthropic-RateLimit-Unified-Status: Allowed"))
    assert said == {"anthropic-ratelimit-unified-status": "Allowed"}


@pytest.mark.parametrize(
    "number",
    ["", "much", "nan", "NaN", "inf", "-inf", "1e400", "-0.1", "-1", "0x1", "1,5", "50%", "1e12",
     "1_0", "0.5 0.6", "\xb2"],
)  # fmt: skip
def test_what_is_no_share_is_left_out(number: str) -> None:
    assert five_hour(number) is None


@pytest.mark.parametrize(
    ("number", "read"), [("0", 0), ("0.0", 0), ("-0.0", 0), ("1", 1), ("1.02", 1.02)]
)
def test_shares(number: str, read: float) -> None:
    """More than all can be used: requests under way at the end still count."""
    assert five_hour(number) == Window(read)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1760003600", 1760003600.0),
        ("1760003600.25", 1760003600.25),
        (" 1760003600 ", 1760003600.0),
        ("1760003600250", 1760003600.25),
        ("2025-10-09T09:53:20Z", 1760003600.0),
        ("2025-10-09T11:53:20.250+02:00", 1760003600.25),
        ("2025-10-09T09:53:20", 1760003600.0),
        ("Thu, 09 Oct 2025 09:53:20 GMT", 1760003600.0),
    ],
    ids=["seconds", "fraction", "spaces", "milliseconds", "rfc3339", "zone", "no-zone", "http"],
)
def test_forms_of_a_reset(reset: str, seconds: float) -> None:
    assert five_hour(reset=reset) == Window(0.5, "", seconds)


@pytest.mark.parametrize(
    "reset",
    ["", "0", "soon", "nan", "inf", "-1", "1e14", "1e308", "-1760003600", "1_760_003_600", "2025-13-01T00:00:00Z",
     "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"],
)  # fmt: skip
def test_a_reset_that_is_no_moment_is_left_out(reset: str) -> None:
    """So is 0, which upstream sends for a window that has none."""
    assert five_hour(reset=reset) == Window(0.5)


def test_a_value_without_end_is_cut() -> None:
    long = limit_headers([(b"anthropic-ratelimit-unified-status", b"x" * 10_000)])
    assert long == {"anthropic-ratelimit-unified-status": "x" * MAX_VALUE}
