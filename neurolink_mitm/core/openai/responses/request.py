"""Requests of OpenAI's Responses API as Messages requests.

What the answer would not be what was asked for without is refused; what only OpenAI's servers care for is ignored.
https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.content import text_block
from neurolink_mitm.core.openai.draft import Draft, checked_model
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.options import Format, Options, checked_effort, checked_limit
from neurolink_mitm.core.openai.reading import NULL, missing, read, read_request, string
from neurolink_mitm.core.openai.responses.answer import REPEATED, ResponsesAnswer
from neurolink_mitm.core.openai.responses.conversation import Conversation
from neurolink_mitm.core.openai.responses.input_items import add_input, add_output, referred_item
from neurolink_mitm.core.openai.responses.stored import Earlier, Pending
from neurolink_mitm.core.openai.responses.tool_choice import read_choice
from neurolink_mitm.core.openai.responses.tools import ResponseTools
from neurolink_mitm.core.openai.tools import Tools
from neurolink_mitm.core.openai.translated import Translated
from neurolink_mitm.core.request.body import LONGEST_SESSION


class _Reasoning(msgspec.Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Format(msgspec.Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    schema: msgspec.Raw = NULL
    name: str | None = None
    strict: bool | None = None


class _Text(msgspec.Struct, gc=False):
    format: _Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class _Object(msgspec.Struct, gc=False):
    """An object whose members don't matter."""


class _Request(msgspec.Struct, gc=False):
    model: str = ""
    input: msgspec.Raw = NULL
    instructions: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    text: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: _Object | None = None
    background: bool | None = None
    conversation: msgspec.Raw = NULL
    prompt: msgspec.Raw = NULL
    top_logprobs: int | None = None
    previous_response_id: str | None = None
    # of chat requests
    messages: msgspec.Raw = NULL
    max_tokens: msgspec.Raw = NULL
    max_completion_tokens: msgspec.Raw = NULL
    response_format: msgspec.Raw = NULL
    reasoning_effort: msgspec.Raw = NULL
    functions: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL
    n: int | None = None
    logprobs: bool | None = None


_request = msgspec.json.Decoder(_Request)
_reasoning = msgspec.json.Decoder(_Reasoning | None)
_text = msgspec.json.Decoder(_Text | None)
_schema = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "functions": "tools",
    "function_call": "tool_choice",
}
"""Fields of chat requests, and those of responses requests that OpenAI then names."""


def responses_request(
    body: bytes, traits: Callable[[str], ClaudeTraits], earlier: Earlier
) -> Translated:
    """Return the request as a Messages request. Raises `RequestError`."""
    asked = read_request(_request, body)
    _check(asked)
    model = checked_model(asked.model)
    tools = Tools(traits(model))
    talk = Conversation(ResponseTools(tools), earlier)
    _read_conversation(talk, asked)
    options = _options(asked)
    draft = Draft(
        model,
        tools.traits,
        tools,
        stream=bool(asked.stream),
        turns=talk.turns,
        options=options,
        choice=read_choice(talk.tools, asked.tool_choice),
        parallel=asked.parallel_tool_calls is not False,
    )
    written = draft.written()
    return Translated(
        written,
        ResponsesAnswer(
            model,
            dict(_repeated(asked)),
            talk.tools.names.clients(),
            json=options.format is not None,
        ),
        draft.asked(written),
        _session(asked, talk),
        bool(asked.prompt_cache_key),
        tuple(_notes(talk)),
        None if asked.store is False else Pending(_kept(asked, talk), asked.previous_response_id),
    )


def _read_conversation(talk: Conversation, asked: _Request) -> None:
    if asked.instructions != NULL:
        block = text_block(string(asked.instructions, "instructions"))
        talk.turns.system += [block] if block else []
    talk.tools.add(asked.tools, "tools")
    talk.tools.of_request = False
    if asked.previous_response_id is not None:
        at = "previous_response_id"
        for turn in talk.earlier.turns(asked.previous_response_id):
            add_input(talk, turn.input, at)
            add_output(talk, turn.output, at)
    elif asked.input == NULL:
        raise missing("input")
    add_input(talk, asked.input, "input")
    if talk.turns.is_empty:
        raise RequestError("Invalid 'input': nothing is said in it", "input", "invalid_value")


def _check(asked: _Request) -> None:
    """Raise `RequestError` for what can't be done here."""
    for name, now in _MOVED.items():
        if getattr(asked, name) != NULL:
            raise _unsupported(name, f"in the Responses API, this parameter has moved to '{now}'")
    if (asked.n or 1) != 1:
        raise _unsupported("n", "Claude gives one answer")
    if asked.background:
        raise _unsupported("background", "responses are not made in the background here")
    if asked.conversation != NULL:
        why = "conversations are not stored here; use 'previous_response_id'"
        raise _unsupported("conversation", why)
    if asked.prompt != NULL:
        raise _unsupported("prompt", "there are no prompt templates here; send the prompt itself")
    included = "message.output_text.logprobs" in (asked.include or ())
    wanted = {"top_logprobs": asked.top_logprobs, "logprobs": asked.logprobs, "include": included}
    for name in filter(wanted.get, wanted):
        raise _unsupported(name, "Claude gives no log probabilities")


def _options(asked: _Request) -> Options:
    reasoning = read(_reasoning, asked.reasoning, "reasoning")
    return Options(
        max_tokens=checked_limit(asked.max_output_tokens, "max_output_tokens"),
        temperature=asked.temperature,
        top_p=asked.top_p,
        effort=checked_effort(reasoning.effort, "reasoning.effort") if reasoning else None,
        format=_format(asked),
    )


def _format(asked: _Request) -> Format | None:
    text = read(_text, asked.text, "text")
    if text is None or text.format is None or text.format.type == "text":
        return None
    if text.format.type == "json_object":
        return Format()
    read(_schema, text.format.schema, "text.format.schema")
    return Format(bytes(text.format.schema))


def _repeated(asked: _Request) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield the members that the response repeats."""
    for name in REPEATED:
        value = getattr(asked, name)
        if isinstance(value, msgspec.Raw):
            if value != NULL:
                yield name, value
        elif value is not None:
            yield name, msgspec.Raw(msgspec.json.encode(value))


def _kept(asked: _Request, talk: Conversation) -> msgspec.Raw:
    """Return the input as it is kept: with the items that it refers to, which may be forgotten before it."""
    if asked.input == NULL:
        return msgspec.Raw(b"[]")
    if not talk.refers:
        return asked.input
    items = msgspec.json.decode(asked.input, type=list[msgspec.Raw])
    return msgspec.Raw(
        b"[%b]" % b",".join(bytes(referred_item(talk.earlier, each) or each) for each in items)
    )


def _session(asked: _Request, talk: Conversation) -> str:
    """Return the client's key of the conversation, or the digest of its beginning."""
    key = asked.prompt_cache_key or hashlib.sha256(talk.first).hexdigest()[:32]
    return key[:LONGEST_SESSION]


def _notes(talk: Conversation) -> Iterator[str]:
    if talk.tools.left_out:
        yield f"tools that run on OpenAI's servers are left out: {', '.join(talk.tools.left_out)}"
    if talk.left_out:
        yield f"input items are left out: {', '.join(talk.left_out)}"


def _unsupported(at: str, why: str) -> RequestError:
    return RequestError(f"Unsupported parameter: '{at}': {why}.", at, UNSUPPORTED)
