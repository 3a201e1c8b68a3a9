"""A chat request as a Messages request."""

from __future__ import annotations

from collections.abc import Iterator

from neurolink_mitm.core.openai.chat import wire
from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.chat.calls import CallForm
from neurolink_mitm.core.openai.chat.history import add_message
from neurolink_mitm.core.openai.chat.tools import is_old, read_choice, tools_of
from neurolink_mitm.core.openai.claude import TraitsOf
from neurolink_mitm.core.openai.draft import Draft
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.options import Format, Options, checked_effort, checked_limit
from neurolink_mitm.core.openai.reading import (
    checked_model,
    kind_of,
    missing,
    read_items,
    read_request,
)
from neurolink_mitm.core.openai.session import session_of
from neurolink_mitm.core.openai.translated import Translated
from neurolink_mitm.core.openai.turns import Turns
from neurolink_mitm.core.request.json_spans import LARGE

_IGNORED = ("frequency_penalty", "presence_penalty", "seed", "prediction")
"""Fields that ask for something that is left out: noted in the log."""


def chat_request(body: bytes, traits: TraitsOf) -> Translated:
    """Return the Messages request for the body of a chat request.

    `traits` is asked with the model that the client names. Raises `RequestError`.
    """
    try:
        return _translated(_read(body), traits)
    except RecursionError as e:  # what has been read is read again, a bit deeper
        raise RequestError("The body of the request is nested too deeply.") from e


def _translated(request: wire.Request, traits: TraitsOf) -> Translated:
    _refuse(request)
    model = checked_model(request.model)
    claude = traits(model)
    tools = tools_of(request, claude)
    answer_format = _format(request.response_format)
    old = is_old(request)
    draft = Draft(
        model,
        claude,
        tools,
        stream=bool(request.stream),
        options=_options(request, answer_format),
        choice=read_choice(tools, request),
        parallel=request.parallel_tool_calls is not False and not old,
    )
    first = _add_messages(draft.turns, request)
    options = request.stream_options
    written = draft.written()
    return Translated(
        written,
        ChatAnswer(
            model,
            include_usage=bool(options and options.include_usage),
            json=answer_format is not None,
            calls=CallForm(frozenset(tools.customs), old),
        ),
        draft.messages_request(written),
        session=session_of(request.prompt_cache_key, first),
        names_session=bool(request.prompt_cache_key),
        beta=claude.beta,
        notes=tuple(f"{name} is ignored" for name in _IGNORED if getattr(request, name)),
    )


def _add_messages(turns: Turns, request: wire.Request) -> bytes:
    """Add all messages; return the content (JSON) of the user's first one."""
    first = b""
    for at, message in read_items(wire.messages, request.messages, "messages"):
        add_message(turns, message, at)
        if not first and message.role == "user":
            first = bytes(message.content)
    if turns.is_empty:
        raise RequestError("Invalid 'messages': none of them has any content", "messages")
    return first


def _read(body: bytes) -> wire.Request:
    if len(body) <= LARGE:
        return read_request(wire.whole_requests, body)
    return read_request(wire.long_requests, body)


def _options(request: wire.ChatRequest, answer_format: Format | None) -> Options:
    limit = checked_limit(request.max_tokens, "max_tokens")
    newer = checked_limit(request.max_completion_tokens, "max_completion_tokens")
    stop = request.stop
    effort, budget = _thinking(request)
    return Options(
        max_tokens=limit if newer is None else newer,
        temperature=request.temperature,
        top_p=request.top_p,
        stops=[stop] if isinstance(stop, str) else stop or (),
        effort=effort,
        budget=budget,
        format=answer_format,
    )


def _thinking(request: wire.ChatRequest) -> tuple[str | None, int | None]:
    """Return the effort, or else the budget (tokens): of OpenAI's field, OpenRouter's or Anthropic's."""
    if effort := checked_effort(request.reasoning_effort, "reasoning_effort"):
        return effort, None
    if reasoning := request.reasoning:
        effort = checked_effort(reasoning.effort, "reasoning.effort")
        budget = checked_limit(reasoning.max_tokens, "reasoning.max_tokens")
        if reasoning.enabled is False:
            return "none", None
        if effort is None and budget is None and reasoning.enabled:
            effort = "medium"
        return effort, None if effort else budget
    if request.thinking is None:
        return None, None
    if effort := {"disabled": "none", "adaptive": "high"}.get(request.thinking.type):
        return effort, None
    return None, checked_limit(request.thinking.budget_tokens, "thinking.budget_tokens")


def _format(response_format: wire.ResponseFormat | None) -> Format | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return Format()
    at = "response_format"
    if response_format.type != "json_schema":
        message = (
            f"Invalid value: '{response_format.type}' is none of text, json_object, json_schema"
        )
        raise RequestError(message, f"{at}.type", "invalid_value")
    if response_format.json_schema is None:
        raise missing(f"{at}.json_schema")
    schema = bytes(response_format.json_schema.schema)
    if schema == b"null":
        return Format()
    if not schema.startswith(b"{"):
        param = f"{at}.json_schema.schema"
        raise RequestError(
            f"Invalid type for '{param}': expected an object, got {kind_of(schema)}",
            param,
            "invalid_type",
        )
    return Format(schema)


def _refuse(request: wire.ChatRequest) -> None:
    """Raise `RequestError` where the request asks for what Claude has not."""
    if request.n is not None and request.n < 1:
        raise RequestError(
            f"Invalid value for 'n': {request.n} is less than 1", "n", "integer_below_min_value"
        )
    for name in _unsupported(request):
        raise RequestError(
            f"Unsupported parameter: '{name}' is not supported with this model.", name, UNSUPPORTED
        )


def _unsupported(request: wire.ChatRequest) -> Iterator[str]:
    if (request.n or 1) > 1:
        yield "n"
    if "audio" in (request.modalities or ()):
        yield "modalities"
    for name in ("logprobs", "top_logprobs", "logit_bias", "audio"):
        if getattr(request, name):
            yield name
    if request.web_search_options is not None:
        yield "web_search_options"
