"""Requests of OpenAI's Responses API as Messages requests.

What the answer would not be what was asked for without is refused; what only OpenAI's servers care for is ignored.
https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from neurolink_mitm.core.openai.claude import TraitsOf
from neurolink_mitm.core.openai.content import text_block
from neurolink_mitm.core.openai.draft import Draft
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.options import Format, Options, checked_effort, checked_limit
from neurolink_mitm.core.openai.reading import (
    NULL,
    checked_model,
    missing,
    read,
    read_request,
    string,
)
from neurolink_mitm.core.openai.responses.answer import REPEATED, ResponsesAnswer
from neurolink_mitm.core.openai.responses.body import repeated_members
from neurolink_mitm.core.openai.responses.conversation import Conversation
from neurolink_mitm.core.openai.responses.input_items import add_input, add_output, referred_item
from neurolink_mitm.core.openai.responses.stored import Earlier, Pending
from neurolink_mitm.core.openai.responses.tool_choice import read_choice
from neurolink_mitm.core.openai.responses.tools import ResponseTools
from neurolink_mitm.core.openai.session import session_of
from neurolink_mitm.core.openai.tools import Tools
from neurolink_mitm.core.openai.translated import Translated


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


def responses_request(body: bytes, traits: TraitsOf, earlier: Earlier) -> Translated:
    """Return the request as a Messages request. Raises `RequestError`."""
    request = read_request(_request, body)
    _check(request)
    model = checked_model(request.model)
    tools = Tools(traits(model))
    conversation = Conversation(ResponseTools(tools), earlier)
    _read_conversation(conversation, request)
    draft = Draft(
        model,
        tools.traits,
        tools,
        stream=bool(request.stream),
        turns=conversation.turns,
        options=_options(request),
        choice=read_choice(conversation.tools, request.tool_choice),
        parallel=request.parallel_tool_calls is not False,
    )
    return _translated(request, conversation, draft)


def _translated(request: _Request, conversation: Conversation, draft: Draft) -> Translated:
    written = draft.written()
    return Translated(
        written,
        ResponsesAnswer(
            draft.model,
            repeated_members(dict(_repeated(request))),
            conversation.tools.names.clients(),
            json=draft.options.format is not None,
        ),
        draft.messages_request(written),
        session=session_of(request.prompt_cache_key, conversation.first),
        names_session=bool(request.prompt_cache_key),
        beta=draft.traits.beta,
        notes=tuple(_notes(conversation)),
        pending=_pending(request, conversation),
    )


def _read_conversation(conversation: Conversation, request: _Request) -> None:
    if request.instructions != NULL:
        block = text_block(string(request.instructions, "instructions"))
        conversation.turns.system += [block] if block else []
    conversation.tools.add(request.tools, "tools")
    conversation.tools.of_request = False
    if request.previous_response_id is not None:
        at = "previous_response_id"
        for turn in conversation.earlier.turns(request.previous_response_id):
            add_input(conversation, turn.input, at)
            add_output(conversation, turn.output, at)
    elif request.input == NULL:
        raise missing("input")
    add_input(conversation, request.input, "input")
    if conversation.turns.is_empty:
        raise RequestError("Invalid 'input': nothing is said in it", "input", "invalid_value")


def _check(request: _Request) -> None:
    """Raise `RequestError` for what can't be done here."""
    for name, now in _MOVED.items():
        if getattr(request, name) != NULL:
            raise _unsupported(name, f"in the Responses API, this parameter has moved to '{now}'")
    if (request.n or 1) != 1:
        raise _unsupported("n", "Claude gives one answer")
    if request.background:
        raise _unsupported("background", "responses are not made in the background here")
    if request.conversation != NULL:
        why = "conversations are not stored here; use 'previous_response_id'"
        raise _unsupported("conversation", why)
    if request.prompt != NULL:
        raise _unsupported("prompt", "there are no prompt templates here; send the prompt itself")
    included = "message.output_text.logprobs" in (request.include or ())
    wanted = {
        "top_logprobs": request.top_logprobs,
        "logprobs": request.logprobs,
        "include": included,
    }
    for name in filter(wanted.get, wanted):
        raise _unsupported(name, "Claude gives no log probabilities")


def _options(request: _Request) -> Options:
    reasoning = read(_reasoning, request.reasoning, "reasoning")
    return Options(
        max_tokens=checked_limit(request.max_output_tokens, "max_output_tokens"),
        temperature=request.temperature,
        top_p=request.top_p,
        effort=checked_effort(reasoning.effort, "reasoning.effort") if reasoning else None,
        format=_format(request),
    )


def _format(request: _Request) -> Format | None:
    text = read(_text, request.text, "text")
    if text is None or text.format is None or text.format.type == "text":
        return None
    if text.format.type == "json_object":
        return Format()
    read(_schema, text.format.schema, "text.format.schema")
    return Format(bytes(text.format.schema))


def _repeated(request: _Request) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield the members that the response repeats."""
    for name in REPEATED:
        value = getattr(request, name)
        if isinstance(value, msgspec.Raw):
            if value != NULL:
                yield name, value
        elif value is not None:
            yield name, msgspec.Raw(msgspec.json.encode(value))


def _pending(request: _Request, conversation: Conversation) -> Pending | None:
    if request.store is False:
        return None
    return Pending(_stored_input(request, conversation), request.previous_response_id)


def _stored_input(request: _Request, conversation: Conversation) -> msgspec.Raw:
    """Return the input as it is stored: with the items that it refers to, which may be forgotten before it."""
    if request.input == NULL:
        return msgspec.Raw(b"[]")
    if not conversation.refers:
        return request.input
    items = msgspec.json.decode(request.input, type=list[msgspec.Raw])
    return msgspec.Raw(
        b"[%b]"
        % b",".join(bytes(referred_item(conversation.earlier, each) or each) for each in items)
    )


def _notes(conversation: Conversation) -> Iterator[str]:
    if conversation.tools.left_out:
        yield f"tools that run on OpenAI's servers are left out: {', '.join(conversation.tools.left_out)}"
    if conversation.left_out:
        yield f"input items are left out: {', '.join(conversation.left_out)}"


def _unsupported(at: str, why: str) -> RequestError:
    return RequestError(f"Unsupported parameter: '{at}': {why}.", at, UNSUPPORTED)
