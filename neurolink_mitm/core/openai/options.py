"""The options of a request as Anthropic takes them: limits, sampling, stops, thinking, the form of the answer.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from neurolink_mitm.core.openai.claude import EFFORTS, ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.structured import Narrowing

DEFAULT_MAX_TOKENS = 32_000
"""Tokens of an answer, for a client that sets no limit; fewer where the model takes fewer."""
MIN_BUDGET = 1024
"""Tokens of Anthropic's smallest thinking budget."""
_BUDGETS = {
    "minimal": MIN_BUDGET,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 31_999,
}
"""The thinking budget (tokens) that corresponds to an effort."""
_JSON_ONLY = "Answer with JSON and nothing else: no words around it, no code fence."
_A_SCHEMA = "Your answer must be valid against this JSON Schema:"


@dataclass(frozen=True, slots=True)
class Format:
    """The form of the answer's text: any JSON object, or JSON that follows the schema (JSON)."""

    schema: bytes | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a client's request; None: not set."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stops: Sequence[str] = ()
    effort: str | None = None
    """OpenAI's reasoning effort: `none`, `minimal`, or one of `EFFORTS`."""
    budget: int | None = None
    """Tokens of thinking, where the client says this instead of an effort."""
    format: Format | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """The fields `thinking` (JSON; empty: absent) and `output_config.effort`."""

    field: bytes = b""
    effort: str | None = None

    @property
    def on(self) -> bool:
        """Whether the client asked for thinking, and gets it."""
        return b'"adaptive"' in self.field or self.has_budget

    def is_possible(self, traits: ClaudeTraits) -> bool:
        """Tell whether the model thinks, asked or not."""
        return self.on or (traits.thinks_unasked and not self.field)

    @property
    def has_budget(self) -> bool:
        """Whether there is a thinking budget."""
        return b'"enabled"' in self.field

    def written(self, form: Any) -> Iterator[bytes]:
        """Yield the members `thinking` and `output_config`, with the `form` of the answer (None: absent)."""
        if self.field:
            yield b',"thinking":%b' % self.field
        config = {"effort": self.effort, "format": form}
        if config := {name: value for name, value in config.items() if value is not None}:
            yield b',"output_config":%b' % msgspec.json.encode(config)


def checked_effort(effort: str | None, at: str) -> str | None:
    """Return a reasoning effort that is known. Raises `RequestError`."""
    efforts = ("none", "minimal", *EFFORTS)
    if effort is not None and effort not in efforts:
        raise RequestError(
            f"Invalid value for '{at}': {effort!r} is none of {', '.join(efforts)}",
            at,
            "invalid_value",
        )
    return effort


def checked_limit(tokens: int | None, at: str) -> int | None:
    """Return a limit of tokens that is positive. Raises `RequestError`."""
    if tokens is not None and tokens < 1:
        raise RequestError(
            f"Invalid value for '{at}': {tokens} is less than 1", at, "integer_below_min_value"
        )
    return tokens


def max_tokens(options: Options, traits: ClaudeTraits) -> int:
    """Return `max_tokens`. Thinking counts against it, and never lowers it."""
    return min(options.max_tokens or DEFAULT_MAX_TOKENS, traits.max_output)


def thinking(
    options: Options, traits: ClaudeTraits, *, forced: bool, lacks_thinking: bool
) -> Thinking:
    """Return how the model is asked to think.

    `forced`: a call must come, which most models refuse together with thinking. `lacks_thinking`: Anthropic refuses a
    budget where the history does not have the thinking of the last calls.
    """
    forced = forced and not traits.thinks_when_forced
    if options.effort is None and options.budget is None and not forced:
        return Thinking()
    if options.effort == "none" or forced:
        return _off(traits)
    if traits.adaptive:
        return Thinking(
            b'{"type":"adaptive","display":"summarized"}',
            _nearest(_effort(options), traits.efforts),
        )
    limit = max_tokens(options, traits)
    if not traits.budget or lacks_thinking or limit <= MIN_BUDGET:
        return Thinking()
    budget = max(MIN_BUDGET, options.budget or _BUDGETS[options.effort or "medium"])
    budget = budget if budget < limit and 2 * budget <= limit else max(MIN_BUDGET, limit // 2)
    return Thinking(b'{"type":"enabled","budget_tokens":%d}' % budget)


def _off(traits: ClaudeTraits) -> Thinking:
    """Return the fields of a model that shall not think; one that always does shall think little."""
    if not traits.thinks_unasked:
        return Thinking()
    off = b'{"type":"%b"}' % traits.off.encode()
    return Thinking(off) if traits.off else Thinking(b"", traits.efforts[0])


def _effort(options: Options) -> str:
    if options.effort is not None:
        return options.effort
    budget = options.budget or 0
    return next((name for name, tokens in _BUDGETS.items() if budget <= tokens), "max")


def _nearest(wanted: str, efforts: Sequence[str]) -> str | None:
    """Return the largest of `efforts` that is not above `wanted`, or else the smallest."""
    scale = ("none", "minimal", *EFFORTS)
    below = [each for each in efforts if scale.index(each) <= scale.index(wanted)]
    return below[-1] if below else next(iter(efforts), None)


def sampling(options: Options, traits: ClaudeTraits, *, thinks: bool) -> Iterator[bytes]:
    """Yield `temperature` and `top_p` within Anthropic's bounds; neither where the model thinks or refuses them."""
    temperature, top_p = options.temperature, options.top_p
    if thinks or not traits.sampling:
        return
    if not traits.both_sampling and temperature is not None and top_p is not None:
        if temperature == 1 and top_p < 1:
            temperature = None  # the default of both is 1: the other one is meant
        else:
            top_p = None
    if temperature is not None:
        yield b',"temperature":%b' % _within(temperature)
    if top_p is not None:
        yield b',"top_p":%b' % _within(top_p)


def _within(value: float) -> bytes:
    return msgspec.json.encode(min(max(value, 0.0), 1.0))


def stops(options: Options) -> Iterator[bytes]:
    """Yield `stop_sequences`. Anthropic refuses those of white space."""
    sequences = list(dict.fromkeys(each for each in options.stops if each.strip()))
    if sequences:
        yield b',"stop_sequences":%b' % msgspec.json.encode(sequences)


def answer_format(options: Options, traits: ClaudeTraits, narrowing: Narrowing) -> tuple[Any, str]:
    """Return `output_config.format` (None: absent), and the instruction that stands for it (empty: none)."""
    form = options.format
    if form is None:
        return None, ""
    if form.schema is None:
        return None, _JSON_ONLY
    if traits.structured:
        narrowed = narrowing.of(form.schema)
        if narrowed is not None:
            return {"type": "json_schema", "schema": narrowed}, ""
    return None, f"{_JSON_ONLY} {_A_SCHEMA}\n{form.schema.decode()}"
