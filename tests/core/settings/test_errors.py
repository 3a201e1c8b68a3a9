from __future__ import annotations

import datetime

import pytest

from neurolink_mitm.core.settings.errors import (
    ConfigFault,
    Loc,
    format_value,
    path,
    position,
    spellings,
    value_at,
)


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        ((), ""),
        (("routing", "primary-account"), "routing.primary-account"),
        (("accounts", "anthropic", 1, "weight"), "accounts.anthropic[1].weight"),
        ((0, "a"), "[0].a"),
        (("pins", "api.anthropic.com", 0), 'pins["api.anthropic.com"][0]'),
        (("a", ""), 'a[""]'),
        (("sk-ant-test-1234",), "[a text of 16 characters]"),
    ],
    ids=["root", "keys", "list", "starts-with-index", "dotted-key", "empty-key", "secret-key"],
)
def test_path(loc: Loc, expected: str) -> None:
    assert path(loc) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "nothing"),
        (True, "true"),
        (2, "2"),
        (-1.5, "-1.5"),
        ("two", '"two"'),
        ('say "hi"\n', '"say \\"hi\\"\\n"'),
        ("${KEY}", '"${KEY}"'),
        ([1], "a list"),
        ({"a": 1}, "a mapping"),
        (datetime.date(2026, 1, 2), "a date"),
        ("claude-opus-4-20250514", '"claude-opus-4-20250514"'),
    ],
)
def test_shown(value: object, expected: str) -> None:
    assert format_value(value) == expected


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-test-hunter2",
        "sk-ant-oat-test-hunter2",
        "${X:-sk-hunter2}",
        "Bearer hunter2",
        "gsk_hunter2",
        "AIzahunter2",
        "0123456789abcdef0123456789hunter2",
        "http://user:hunter2@host/x",
        "http://user:hun@ter2@host/x",
        "http://user:pa/hunter2@host/x",
        "user:hunter2@host:80",
        "https://host/x?key=hunter2",
    ],
)
def test_what_may_be_a_secret_is_not_shown(secret: str) -> None:
    assert "hunter2" not in format_value(secret)
    assert "ter2" not in format_value(secret)


def test_a_url_is_shown_without_its_secrets() -> None:
    assert format_value("ftp://u:p@host/path?q=1") == '"ftp://…@host/path?…"'


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("name", ("name", "name")),
        ("first_event", ("firstEvent", "first-event")),
        ("max_size_mb", ("maxSizeMb", "max-size-mb")),
        ("from_", ("from", "from")),
    ],
)
def test_spellings(field: str, expected: tuple[str, str]) -> None:
    assert spellings(field) == expected


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        ((), {"a": [{"b": 1}]}),
        (("a", 0, "b"), 1),
        (("a", 7), None),
        (("x",), None),
        (("a", "b"), None),
        (("a", 0, "b", "c"), None),
    ],
)
def test_value_at(loc: Loc, expected: object) -> None:
    assert value_at({"a": [{"b": 1}]}, loc) == expected


def test_places_sort_as_they_stand_in_the_document() -> None:
    document = {"z": [{"b": 1, "a": 2}, 3], "y": {1: 4}}
    places: list[Loc] = [("y", "1"), ("z", 1), ("y", "none"), ("z", 0, "a"), ("z", 0, "b"), ("x",)]
    assert sorted(places, key=lambda loc: position(document, loc)) == [
        ("z", 0, "b"), ("z", 0, "a"), ("z", 1), ("y", "1"), ("y", "none"), ("x",),
    ]  # fmt: skip


def test_a_fault_of_the_whole_document_says_so() -> None:
    assert str(ConfigFault((), "is wrong")) == "the configuration: is wrong"
