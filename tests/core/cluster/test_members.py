"""What replicas say of themselves: of a Redis that may hold anything, and in what they differ."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.members import (
    LONGEST,
    MOST,
    Member,
    clean,
    differences,
    oldest,
    read_members,
    total,
    written,
)

ALL_SET = Member(
    "eu-1", "1.0", "12.2.3", 4711, 100.0, "draining", 3, 1, 10, 9, 8, 7, 6, -0.5, 1.2, 0.9, 2,
    "http://127.0.0.1:55670", {"routing": "ab12cd34"},
)  # fmt: skip


def read(said: bytes, seen_at: float = 200.0) -> Member | None:
    return read_members([("id", said, seen_at)]).get("id")


def test_what_is_written_is_read() -> None:
    assert read(written(ALL_SET)) == replace(ALL_SET, seen_at=200.0)


def test_a_replica_says_less_than_2_kb_of_itself() -> None:
    long = "x" * 100
    digests = dict.fromkeys(map(str, range(12)), "0" * 8)
    full = replace(ALL_SET, name=long, dashboard=f"http://{long}", digests=digests)
    assert len(written(full)) < 2048


@pytest.mark.parametrize(
    "said",
    [b"", b"nonsense", b"[]", b"3", b"\xff", b'"\\ud800"', b"[" * 4000, b'{"name":"a"}' + b" " * LONGEST],
    ids=["empty", "no-json", "list", "number", "no-utf-8", "surrogate", "deep", "long"],
)  # fmt: skip
def test_what_is_no_replica_is_left_out(said: bytes) -> None:
    assert read(said) is None


@pytest.mark.parametrize("name", ["in_flight", "started_at", "clock_skew", "lag_ms", "attempts"])
@pytest.mark.parametrize("value", [1e308, -1e308, "1", None, [], {}, True, 10**40], ids=str)
def test_a_wild_number_is_none(name: str, value: Any) -> None:
    member = read(msgspec.json.encode({name: value})) if value != 10**40 else None
    member = member or read(f'{{"{name}": {value if value == 10**40 else 0}}}'.encode())
    assert member
    number = getattr(member, name)
    assert number is None or 0 <= number <= 1e15


@given(st.dictionaries(st.sampled_from(sorted(Member.__dataclass_fields__)), st.from_type(object)))
def test_fields_of_any_type_break_nothing(fields: dict[str, Any]) -> None:
    try:
        said = msgspec.json.encode(fields)
    except (TypeError, ValueError, UnicodeError, RecursionError, msgspec.MsgspecError):
        return
    member = read(said)
    assert member is None or len(written(member)) < 20_000


def test_a_name_is_one_short_line() -> None:
    assert clean("a\x1b[31m\nb" + "x" * 500) == "a?[31m?b" + "x" * 92
    assert clean(7) == ""


def test_an_address_that_is_no_web_address_is_left_out() -> None:
    member = read(b'{"dashboard": "javascript:alert(1)"}')
    assert member
    assert member.dashboard == ""


def test_no_more_than_some_are_read() -> None:
    rows = ((str(n), b"{}", 1.0) for n in range(MOST + 50))
    assert len(read_members(rows)) == MOST


def test_a_sign_of_life_may_be_no_number() -> None:
    assert read(b"{}", math.inf) == replace(Member(), seen_at=0.0)


def members(*digests: str) -> dict[str, Member]:
    return {
        str(n): Member(str(n), "1.0", started_at=100.0 + n, digests={"routing": each})
        for n, each in enumerate(digests)
    }


@pytest.mark.parametrize(
    ("digests", "different"),
    [
        (("a", "a", "b"), {"2"}),
        (("b", "a", "a"), {"0"}),
        (("a", "b"), {"1"}),
        (("b", "a"), {"1"}),
        (("a", "b", "c"), {"1", "2"}),
        (("a",), set()),
    ],
    ids=["newest", "oldest", "two", "two-reversed", "all", "alone"],
)
def test_who_differs_from_most_is_marked(digests: tuple[str, ...], different: set[str]) -> None:
    """From the oldest, where none has a majority."""
    differs = differences(members(*digests))
    assert {id_ for id_, names in differs.items() if names == ["routing"]} == different


def test_another_version_is_a_difference() -> None:
    three = members("a", "a", "a")
    three["1"] = replace(three["1"], version="0.9", digests={})
    assert differences(three) == {"0": [], "1": ["routing", "version"], "2": []}


@given(st.dictionaries(st.text(max_size=3), st.sampled_from([ALL_SET, Member(), Member("x")])))
def test_some_replica_differs_from_nobody_in_each_trait(several: dict[str, Member]) -> None:
    differs = differences(several)
    assert differs.keys() == several.keys()
    for name in {name for names in differs.values() for name in names}:
        assert any(name not in names for names in differs.values())


def test_the_oldest_is_the_same_for_all() -> None:
    three = members("a", "b", "c")
    assert oldest(three) == oldest(dict(reversed(three.items()))) == "0"
    assert oldest({}) is None


def test_one_that_does_not_say_since_when_is_not_the_oldest() -> None:
    assert oldest({"a": Member(), "b": Member(started_at=5.0)}) == "b"


def test_totals() -> None:
    assert total([ALL_SET, ALL_SET]) == {
        "totalAttempts": 20,
        "totalRequests": 18,
        "totalSuccess": 16,
        "totalErrors": 14,
        "totalRateLimits": 12,
    }
