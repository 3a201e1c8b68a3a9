"""A request of any form is written for every provider, or refused with the place of its fault: never an exception."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.adapt import UnsupportedError, adapt, words_of
from neurolink_mitm.core.providers.chat.request import chat_request
from neurolink_mitm.core.providers.pdf import pdfs_in
from neurolink_mitm.core.providers.responses.request import responses_request
from neurolink_mitm.core.providers.traits import Traits, traits

Json = dict[str, Any]

TARGETS: dict[str, Traits] = {
    "openai": traits("openai", "gpt-5"),
    "gpt-4o": traits("openai", "gpt-4o", own_server=True),
    "google-ai": traits("google-ai", "gemini-2.5-flash"),
    "gemini 3": traits("vertex", "gemini-3-pro"),
    "bedrock": traits("bedrock", "us.anthropic.claude-opus-4-5-v1:0"),
    "nova": traits("bedrock", "amazon.nova-pro-v1:0"),
    "azure_ai": traits("azure_ai", "claude-sonnet-4-5"),
    "mistral": traits("mistral", "mistral-large-latest"),
    "groq": traits("groq", "openai/gpt-oss-120b"),
    "deepseek": traits("deepseek", "deepseek-reasoner"),
    "openrouter": traits("openrouter", "openai/gpt-4o"),
    "moonshot": traits("moonshot", "kimi-k2.5"),
    "ollama": traits("ollama", "qwen3"),
    "xai": traits("xai", "grok-4"),
    "minimax": traits("minimax", "MiniMax-M2"),
}

ANY = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, "", " ", "x", "a b.c", "text", "é"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "data", "url", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
IDS = st.sampled_from(["a", "toolu_01", "x" * 50, "functions.ls:0", "#", " "])
NAMES = st.sampled_from(["ls", "a.b", "x" * 70, "9", "web_search"])


_ABSENT = object()
_USUALLY = 40


def members(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Objects with these members; hardly ever one is absent or has a value of another kind."""
    values = {
        name: st.integers(0, _USUALLY).flatmap(
            lambda i, value=value: st.just(_ABSENT) if i == 7 else ANY if i == 11 else value
        )
        for name, value in known.items()
    }
    return st.fixed_dictionaries(values).map(
        lambda made: {name: value for name, value in made.items() if value is not _ABSENT}
    )


def kind(type_: str, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return members(**known).map(lambda made: {"type": type_, **made})


SOURCES = members(
    type=st.sampled_from(["base64", "url", "text", "file", "content"]),
    media_type=st.sampled_from(["image/png", "application/pdf", "text/plain"]),
    data=st.sampled_from(["eA==", "no base64", ""]),
    url=st.just("https://x.test/a.png"),
    content=st.just([{"type": "text", "text": "x"}]),
)
TEXTS = kind("text", text=st.sampled_from(["hi", "", " \n", "é"]))
PARTS = st.one_of(
    TEXTS, kind("image", source=SOURCES), kind("document", source=SOURCES, title=TEXTS)
)
BLOCKS = st.one_of(
    PARTS,
    kind("tool_use", id=IDS, name=NAMES, input=st.just({"a": 1})),
    kind("tool_result", tool_use_id=IDS, content=st.lists(PARTS, max_size=2) | st.just("r"),
         is_error=st.booleans()),
    kind("thinking", thinking=st.just("hm"), signature=st.just("x")),
    st.sampled_from(["redacted_thinking", "server_tool_use", "web_search_tool_result", "search_result",
                     "mcp_tool_use", "mcp_tool_result", "tool_reference", "container_upload", "hologram",
                     "code_execution_tool_result", "web_fetch_tool_result"])
    .flatmap(lambda name: kind(name, id=IDS, name=NAMES, content=st.lists(PARTS, max_size=1), input=ANY)),
)  # fmt: skip
TOOLS = members(
    name=NAMES,
    description=st.just("d"),
    type=st.sampled_from(["custom", "web_search_20250305"]),
    input_schema=st.sampled_from(
        [{}, {"type": "object", "properties": {"a": True}}, {"$ref": "#"}]
    ),
)
REQUESTS = members(
    messages=st.lists(
        members(
            role=st.sampled_from(["user", "assistant", "system"]),
            content=st.lists(BLOCKS, max_size=3) | st.just("hi"),
        ),
        min_size=1,
        max_size=4,
    ),
    system=st.just("s") | st.lists(TEXTS, max_size=2),
    tools=st.lists(TOOLS, max_size=2),
    tool_choice=members(type=st.sampled_from(["auto", "any", "tool", "none"]), name=NAMES),
    max_tokens=st.integers(1, 100_000),
    temperature=st.floats(0, 1),
    top_k=st.integers(1, 9),
    stop_sequences=st.lists(st.sampled_from(["a", " ", ""]), max_size=6),
    thinking=members(type=st.sampled_from(["enabled", "adaptive", "disabled"]),
                     budget_tokens=st.integers(1024, 9999)),
    output_config=members(effort=st.sampled_from(["low", "max"]), format=ANY),
    stream=st.booleans(),
)  # fmt: skip


@pytest.mark.parametrize("found", TARGETS.values(), ids=TARGETS)
@settings(deadline=None)
@given(REQUESTS)
def test_it_is_written_or_refused(found: Traits, request: Json) -> None:
    pdfs_in(request)
    words_of(request)
    write = responses_request if found.api == "responses" else chat_request
    with suppress(UnsupportedError):
        json.dumps(write(adapt(request, found).request, found), allow_nan=False)
