from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.redact.secret import Secret

KEY = "sk-ant-test-0123456789"


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{!r}".format, "{!s:>40}".format, "%s".__mod__, lambda s: f"{s:>40}"],
    ids=["repr", "str", "format", "format-repr", "format-width", "percent", "f-string"],
)
def test_it_prints_stars(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(KEY))
    assert "****" in shown
    assert not any(part in shown for part in KEY.split("-"))


def test_stars_say_nothing_about_the_length() -> None:
    assert str(Secret("a")) == str(Secret("a" * 100))


def test_it_prints_stars_inside_other_values() -> None:
    @dataclass
    class Holder:
        key: Secret

    assert KEY not in f"{Holder(Secret(KEY))} {[Secret(KEY)]} { ({'key': Secret(KEY)}) }"


def test_reveal_gives_the_text() -> None:
    assert Secret(KEY).reveal() == KEY


@given(st.text(), st.text())
def test_it_equals_and_hashes_as_its_text_does(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one).matches(other) is (one == other)
    assert len({Secret(one), Secret(one)}) == 1


@pytest.mark.parametrize("other", [KEY, None, 1, b""], ids=["its-text", "none", "int", "bytes"])
def test_it_equals_nothing_but_a_secret(other: object) -> None:
    assert Secret(KEY) != other


def test_a_candidate_with_stray_surrogates_does_not_match() -> None:
    """Header values may decode to such strings; `hmac.compare_digest` takes ASCII only."""
    assert not Secret(KEY).matches("\udc80\ud800é")


@pytest.mark.parametrize(("text", "truth"), [("", False), ("x", True)], ids=["empty", "filled"])
def test_an_empty_secret_is_false(text: str, truth: bool) -> None:
    assert bool(Secret(text)) is truth


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_refuses_to_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(KEY), protocol)


def test_it_is_not_json() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))


def test_copies_are_the_same_secret() -> None:
    @dataclass
    class Holder:
        key: Secret

    secret = Secret(KEY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret]) == [secret]
    assert asdict(Holder(secret)) == {"key": secret}


def test_it_has_no_dictionary_that_tools_could_dump() -> None:
    with pytest.raises(TypeError):
        vars(Secret(KEY))
