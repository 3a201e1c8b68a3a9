from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.options import (
    Format,
    Options,
    Thinking,
    answer_format,
    checked_effort,
    checked_limit,
    max_tokens,
    sampling,
    stops,
    thinking,
)
from neurolink_mitm.core.openai.structured import Narrowing

ADAPTIVE = {"type": "adaptive", "display": "summarized"}


def asked(model: str, forced: bool = False, lacks: bool = False, **options: Any) -> Any:
    made = thinking(Options(**options), claude_traits(model), forced=forced, lacks_thinking=lacks)
    return (json.loads(made.field) if made.field else None), made.effort


def budget(tokens: int) -> Any:
    return {"type": "enabled", "budget_tokens": tokens}, None


@pytest.mark.parametrize(
    ("model", "options", "made"),
    [
        ("claude-opus-4-8", {}, (None, None)),
        ("claude-opus-5", {}, (None, None)),
        ("claude-opus-4-8", {"effort": "none"}, (None, None)),
        ("claude-opus-5", {"effort": "none"}, ({"type": "disabled"}, None)),
        ("claude-sonnet-5-5", {"effort": "none"}, ({"type": "between_tools"}, None)),
        ("claude-opus-5-5", {"effort": "none"}, (None, "low")),
        ("claude-opus-4-8", {"effort": "minimal"}, (ADAPTIVE, "low")),
        ("claude-opus-4-8", {"effort": "xhigh"}, (ADAPTIVE, "xhigh")),
        ("claude-opus-4-6", {"effort": "xhigh"}, (ADAPTIVE, "high")),
        ("claude-opus-4-6", {"effort": "max"}, (ADAPTIVE, "max")),
        ("claude-opus-4-8", {"budget": 8000}, (ADAPTIVE, "medium")),
        ("claude-opus-4-8", {"budget": 99_000}, (ADAPTIVE, "max")),
        ("claude-opus-4-8", {"effort": "high", "forced": True}, (None, None)),
        ("claude-opus-5", {"effort": "high", "forced": True}, ({"type": "disabled"}, None)),
        ("claude-fable-5", {"forced": True}, (None, None)),
        ("claude-fable-5", {"effort": "high", "forced": True}, (ADAPTIVE, "high")),
        ("gpt-5", {"forced": True}, (None, None)),
        ("gpt-5", {"effort": "none"}, (None, "none")),
        ("gpt-5", {"effort": "minimal", "forced": True}, (ADAPTIVE, "minimal")),
        ("claude-sonnet-4-5", {"effort": "minimal"}, budget(1024)),
        ("claude-sonnet-4-5", {"effort": "low"}, budget(2048)),
        ("claude-sonnet-4-5", {"effort": "medium"}, budget(8192)),
        ("claude-sonnet-4-5", {"effort": "max"}, budget(16_000)),
        ("claude-sonnet-4-5", {"effort": "max", "max_tokens": 64_000}, budget(31_999)),
        ("claude-sonnet-4-5", {"effort": "high", "max_tokens": 4000}, budget(2000)),
        ("claude-sonnet-4-5", {"effort": "high", "max_tokens": 1100}, budget(1024)),
        ("claude-sonnet-4-5", {"effort": "high", "max_tokens": 1024}, (None, None)),
        ("claude-sonnet-4-5", {"budget": 5000}, budget(5000)),
        ("claude-sonnet-4-5", {"budget": 1}, budget(1024)),
        ("claude-sonnet-4-5", {"effort": "low", "lacks": True}, (None, None)),
        ("claude-opus-4-6", {"effort": "low", "lacks": True}, (ADAPTIVE, "low")),
        ("claude-3-5-haiku-20241022", {"effort": "high"}, (None, None)),
    ],
)
def test_effort_becomes_thinking(model: str, options: dict[str, Any], made: Any) -> None:
    assert asked(model, **options) == made


@pytest.mark.parametrize(
    ("model", "given", "limit"),
    [
        ("claude-opus-5", None, 32_000),
        ("claude-3-haiku-20240307", None, 4096),
        ("claude-opus-5", 10, 10),
        ("claude-opus-5", 10**30, 128_000),
    ],
)
def test_the_limit_is_the_models_at_most(model: str, given: int | None, limit: int) -> None:
    assert max_tokens(Options(max_tokens=given), claude_traits(model)) == limit


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_limit_is_positive(tokens: int) -> None:
    with pytest.raises(RequestError) as raised:
        checked_limit(tokens, "max_tokens")
    assert raised.value.param == "max_tokens"


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(RequestError, match="'huge' is none of none, minimal, low"):
        checked_effort("huge", "reasoning_effort")


@pytest.mark.parametrize(
    ("model", "temperature", "top_p", "made"),
    [
        ("claude-sonnet-4-5", 2.0, None, {"temperature": 1}),
        ("claude-sonnet-4-5", -1.0, None, {"temperature": 0}),
        ("claude-sonnet-4-5", None, 1.5, {"top_p": 1}),
        ("claude-sonnet-4-5", 0.5, 0.9, {"temperature": 0.5}),
        ("claude-sonnet-4-5", 1.0, 0.9, {"top_p": 0.9}),
        ("claude-sonnet-4-5", 1.0, 1.0, {"temperature": 1}),
        ("claude-sonnet-4-0", 0.5, 0.9, {"temperature": 0.5, "top_p": 0.9}),
        ("claude-opus-4-7", 0.5, 0.9, {}),
    ],
)
def test_sampling_within_anthropics_bounds(
    model: str, temperature: float | None, top_p: float | None, made: dict[str, float]
) -> None:
    options = Options(temperature=temperature, top_p=top_p)
    found = sampling(options, claude_traits(model), thinks=False)
    assert json.loads(b"{%b}" % b"".join(found)[1:]) == made
    assert not list(sampling(options, claude_traits(model), thinks=True))


def test_stops_are_not_blank_nor_twice() -> None:
    assert list(stops(Options(stops=["\n", "", "a", "b ", "a"]))) == [
        b',"stop_sequences":["a","b "]'
    ]
    assert not list(stops(Options(stops=["\n"])))


SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}'


@pytest.mark.parametrize(
    ("model", "wanted", "native", "words"),
    [
        ("claude-opus-5", None, False, ""),
        ("claude-opus-5", Format(), False, "Answer with JSON and nothing else"),
        ("claude-opus-5", Format(SCHEMA), True, ""),
        ("claude-opus-4-0", Format(SCHEMA), False, f"JSON Schema:\n{SCHEMA.decode()}"),
        ("claude-opus-5", Format(b'{"type":"object"}'), False, 'JSON Schema:\n{"type":"object"}'),
    ],
)
def test_the_form_of_the_answer(model: str, wanted: Any, native: bool, words: str) -> None:
    form, instruction = answer_format(Options(format=wanted), claude_traits(model), Narrowing())
    assert (form is not None) is native
    assert words in instruction
    assert bool(words) is bool(instruction)


@pytest.mark.parametrize(
    ("model", "field", "possible"),
    [
        ("claude-opus-4-8", b"", False),
        ("claude-opus-4-8", b'{"type":"adaptive"}', True),
        ("claude-opus-5", b"", True),
        ("claude-opus-5", b'{"type":"disabled"}', False),
        ("gpt-5", b"", True),
    ],
)
def test_whether_the_model_thinks(model: str, field: bytes, possible: bool) -> None:
    assert Thinking(field).is_possible(claude_traits(model)) is possible


def test_thinking_that_is_off_is_not_on() -> None:
    assert not Thinking(b'{"type":"disabled"}').on
    assert Thinking(b'{"type":"enabled","budget_tokens":1024}').on
