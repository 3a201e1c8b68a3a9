from __future__ import annotations

import pytest

from neurolink_mitm.core.config_flat import flat, told
from neurolink_mitm.core.config_values import AccountConfig, Fallback, Provider, WordObfuscator
from neurolink_mitm.core.secret import Secret


def test_a_section_is_its_values() -> None:
    assert dict(flat(Provider("http://h", Secret("k")), ("providers", "x"))) == {
        ("providers", "x", "baseUrl"): "http://h",
        ("providers", "x", "apiKey"): Secret("k"),
        ("providers", "x", "api"): None,
    }


def test_names_that_the_user_chose_are_steps_and_notes_are_not() -> None:
    account = AccountConfig("a", metadata={"team": "b"})
    assert dict(flat({"x": account}, ("p",)))["p", "x", "metadata"] == {"team": "b"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Secret("sk-ant-test"), "**********"),
        ((Secret("one"), Secret("two")), "[**********, **********]"),
        ("sk-ant-test-key", "a text of 15 characters"),
        (None, "nothing"),
        (300.0, "300"),
        (True, "true"),
        ({}, "{}"),
        ({"a": 1}, "a mapping"),
        ((Fallback("openai", "m"),), '[{provider: "openai", model: "m"}]'),
        (("a",) * 6, '["a", "a", "a", "a", "a", … 6 in all]'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_value_in_a_line(value: object, text: str) -> None:
    assert told(value) == text


def test_words_that_are_to_stay_here_are_secrets() -> None:
    options = WordObfuscator(True, ("bluebird",), ("corp-.*",), domains=("corp.example",))
    values = dict(flat(options, ("p",)))
    assert values["p", "words"] == (Secret("bluebird"),)
    assert "bluebird" not in repr(options) + told(values["p", "words"])
    assert "corp" not in f"{options}{told(values['p', 'patterns'])}{told(values['p', 'domains'])}"
