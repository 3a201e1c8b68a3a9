from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from neurolink_mitm.dashboard.render import (
    COLOURS,
    colours,
    count,
    environment,
    fraction,
    ms,
    percent,
    share,
    since,
    size,
    timed,
    tokens,
    until,
    usd,
    when,
)

FILTERS = (count, tokens, size, ms, usd, share, fraction, when, since, until)
NOTHING: tuple[object, ...] = (None, math.nan, math.inf, -math.inf, 10**400, True, [], {}, b"1")


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (count, 0, "0"),
        (count, 12345, "12 345"),
        (count, -12345.4, "-12 345"),
        (count, -0.2, "0"),
        (count, 1e308, "1e308"),
        (count, "12", "–"),
        (tokens, 950, "950"),
        (tokens, 999.5, "1k"),
        (tokens, 12_345, "12.3k"),
        (tokens, 999_600, "1M"),
        (tokens, 4_560_000, "4.56M"),
        (tokens, -2500, "-2.5k"),
        (tokens, 1e308, "1e296T"),
        (size, 950, "950 B"),
        (size, 12_345, "12.3 kB"),
        (size, 5_000_000, "5 MB"),
        (ms, 0, "0 ms"),
        (ms, 85.4, "85 ms"),
        (ms, 1420, "1.42 s"),
        (ms, 59_960, "1 min 0 s"),
        (ms, 200_000, "3 min 20 s"),
        (ms, 7_500_000, "2 h 5 min"),
        (ms, 273_600_000, "3 d 4 h"),
        (ms, -1500, "-1.5 s"),
        (usd, 1.2, "$1.20"),
        (usd, 0, "$0.00"),
        (usd, 0.0042, "$0.0042"),
        (usd, -1234.5, "-$1 234.50"),
        (share, 0.42, "42 %"),
        (share, 0.999, "99 %"),
        (share, 1, "100 %"),
        (share, 0.001, "< 1 %"),
        (share, 1.32, "132 %"),
        (share, -0.5, "-50 %"),
        (fraction, 0.42, "0.42"),
        (fraction, 7, "1"),
        (fraction, -1, "0"),
        (percent, 0.425, "42.5%"),
        (percent, 7, "100%"),
    ],
)
def test_a_number_is_written_with_its_unit(
    write: Callable[[object], str], value: object, text: str
) -> None:
    assert write(value).replace("\u202f", " ") == text


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_what_is_no_number_is_a_dash(value: object) -> None:
    wrong = {write.__name__: write(value) for write in FILTERS if write is not fraction}
    assert set(wrong.values()) == {"–"}
    assert fraction(value) == "0"


@given(st.one_of(st.floats(), st.integers(), st.text(max_size=9), st.none(), st.booleans()))
def test_filters_take_anything(value: object) -> None:
    for write in FILTERS:
        text = write(value)
        assert len(text) < 100
        if not isinstance(value, str):
            assert "nan" not in text
            assert "inf" not in text


@pytest.mark.parametrize(
    ("moment", "html"),
    [
        ("2026-11-22T10:00:00.5Z", "2026-11-22T10:00:00.500Z"),
        ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00.000Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (1e308, "9999-12-31T23:59:59.000Z"),
        (-1e308, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_an_element_that_the_page_rewrites(moment: object, html: str) -> None:
    assert when(moment) == f'<time datetime="{html}" data-as="clock">{html}</time>'


def test_what_is_no_time_is_text() -> None:
    assert until('"><script>') == "&#34;&gt;&lt;script&gt;"
    assert since("0001-01-01T00:00:00+23:00").count("<time") <= 1


def test_accounts_of_a_pool_differ_in_colour_while_there_are_colours() -> None:
    labels = [f"account-{i}" for i in range(COLOURS)]
    assert sorted(colours(labels).values()) == list(range(COLOURS))
    assert colours(labels) == colours(reversed(labels))
    many = Counter(colours(f"account-{i}" for i in range(200)).values())
    assert set(many.values()) == {200 // COLOURS}


def test_a_colour_is_that_of_the_pool_or_of_the_label_alone() -> None:
    template = environment().from_string("{{ label | account_colour }}")
    assert template.render(label="work", colours={"work": 5}) == "acct-5"
    gone = template.render(label="\ud800")
    assert gone == template.render(label="\ud800", colours={"work": 5})


def test_times_in_a_text_are_elements() -> None:
    html = timed("paused until 2026-11-29T18:00:00Z: <b>")
    assert html.startswith('paused until <time datetime="2026-11-29T18:00:00.000Z" data-as="due">')
    assert html.endswith("</time>: &lt;b&gt;")
    assert timed("2026-02-30T18:00:00Z") == "2026-02-30T18:00:00Z"
    assert timed(None) == "None"


def test_a_name_that_a_template_does_not_have_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ absent | count }}").render()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("line\none\ttab", "line\none\ttab"),
        ("a\x00b\x1b[31m", "a\ufffdb\ufffd[31m"),
        ("\u202egnp.exe\u2069", "\ufffdgnp.exe\ufffd"),
        ("half \udc80", "half \ufffd"),
        ("שלום \U0001f600", "שלום \U0001f600"),
        (3, "3"),
    ],
    ids=["lines", "controls", "direction", "surrogate", "other-scripts", "number"],
)
def test_what_no_page_can_hold_is_replaced(value: object, text: str) -> None:
    made = environment().from_string("{{ value }}").render(value=value)
    assert made == text
    assert str(when(value)).encode(), "it can be sent"
