"""The facts about a provider's model that decide how a request is adapted and written. Nobody else asks for a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from neurolink_mitm.core.providers.catalog import provider_info
from neurolink_mitm.core.providers.signatures import (
    CLAUDE,
    DEEPSEEK,
    GEMINI,
    KIMI,
    MINIMAX,
    RESPONSES,
)

Api = Literal["chat", "responses"]
Dialect = Literal["json-schema", "typed", "gemini"]
IdForm = Literal["forty", "nine", "counted"]
Choice = Literal["none", "any", "tool"]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a provider's model takes, and in which form."""

    api: Api = "chat"
    """The form of OpenAI's in which LiteLLM is asked."""
    output_limit: int | None = None
    """Tokens of the largest response; None if unknown."""
    documents: bool = False
    """PDFs are taken as such. OpenAI-like servers would get them as pictures: a 400."""
    images: bool = True
    """Images are taken. Else words stand in their place: the session has them in its history for good."""
    refused_images: tuple[str, ...] = ()
    """Media types of images that are refused."""
    links: bool = False
    """Images are fetched by the provider from their address. Else LiteLLM would fetch them, from this machine."""
    longest_name: int = 64
    """Characters of a tool's name."""
    names_begin_with_letters: bool = False
    """A tool's name begins with a letter."""
    longest_description: int | None = None
    """Characters of a tool's description; what is longer is told in the system prompt."""
    most_tools: int | None = None
    """Tools in a request; None if there is no limit."""
    twin_calls: bool = True
    """Calls of one turn may be alike, in name and input."""
    id_form: IdForm = "forty"
    """Ids of tool calls: at most 40 characters (OpenAI), exactly 9 letters and digits, or `functions.NAME:NUMBER`."""
    schema: Dialect = "json-schema"
    """The part of JSON Schema that a tool's parameters may use."""
    schema_depth: int = 40
    """Levels of such a schema; what is deeper is only named by its type."""
    tools_with_calls: bool = False
    """Where the history has calls, tools must be declared."""
    choices: frozenset[Choice] = frozenset({"none", "any", "tool"})
    """The kinds of `tool_choice` beside `auto` that have a field."""
    one_call: bool = False
    """There is a field against parallel calls (`parallel_tool_calls`)."""
    formats: Literal["schema", "words"] = "words"
    """There is a field for the schema of the answer; else it is told in words."""
    format_with_tools: bool = False
    """It is taken beside tools."""
    thinks_when_forced: bool = True
    """The model can think where `tool_choice` forces a call."""
    thinking: Literal["effort", "budget"] = "effort"
    """How much to think is asked for by an effort, or by a budget of tokens."""
    reasons: bool = True
    """The model thinks, so that it may be asked how much."""
    efforts: tuple[str, ...] = ()
    """The efforts that the model takes, the smallest first; empty where any may be sent."""
    sampling: bool = True
    """`temperature` and `top_p` are taken."""
    temperature_or_top_p: bool = False
    """Only one of the two."""
    least_temperature: float = 0
    top_k: bool = False
    """`top_k` is taken."""
    most_stops: int | None = None
    """Stop sequences in a request; None if there is no limit."""
    stops: bool = True
    """Stop sequences are taken. Else the answer is cut at one here."""
    own_thinking: str = ""
    """The mark of signatures (`signatures.sign`) of the thinking that is handed back to the model; empty for none."""
    thoughts: Literal["", "reasoning", "tags", "blocks", "signatures"] = ""
    """How it is handed back in chat form (`chat.thoughts`)."""
    no_text: str | None = None
    """What stands for the text of an assistant message that has only calls."""
    user_after_result: bool = True
    """The user may speak right after a tool's result."""
    last_said: Literal["", "prefix", "partial"] = ""
    """The member that marks an assistant message at the end, which the answer continues."""
    marks: bool = False
    """Marks of what is to be cached (`cache_control`) are taken; elsewhere nothing or all is cached unasked."""
    equal_calls: bool = True
    """A message may hold calls that equal each other."""


_ALL: frozenset[Choice] = frozenset({"none", "any", "tool"})
_ONLY_NONE: frozenset[Choice] = frozenset({"none"})
_TABLE: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    # provider (LiteLLM's name; for `openai` and `azure` with the way), model, what differs; later rows go before
    (".*", "", {"efforts": ("low", "medium", "high")}),
    # https://platform.openai.com/docs/api-reference/chat/create
    ("openai .*|azure( .*)?", "", {"links": True, "most_tools": 128, "one_call": True,
                                   "formats": "schema", "format_with_tools": True, "most_stops": 4}),
    # "string too long. Expected a string with maximum length 1024": https://github.com/getsentry/sentry-mcp/issues/106,
    # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/function-calling
    ("openai chat|azure( chat)?", "", {"longest_description": 1024}),
    # LM Studio, "Invalid tool_choice type: 'object'": https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/670
    ("openai own chat", r"^(?!.*\b(gpt-[3-9]|chatgpt|o\d))", {
        "choices": frozenset({"none", "any"}), "most_tools": None, "most_stops": None, "links": False}),
    # "Unsupported parameter": https://platform.openai.com/docs/guides/reasoning
    ("openai .*|azure( .*)?", r"\bo\d", {"one_call": False}),
    # a part `file`: https://platform.openai.com/docs/guides/pdf-files?api-mode=chat
    ("openai chat", "", {"documents": True}),
    (".* responses", "", {"api": "responses", "documents": True, "own_thinking": RESPONSES, "stops": False}),
    # https://platform.openai.com/docs/guides/reasoning
    (".* responses", r"\b(o\d|gpt-[5-9])", {"sampling": False, "efforts": ("low", "medium", "high")}),
    (".* responses", "gpt-[34]|chatgpt|-chat", {"reasons": False, "sampling": True, "efforts": ()}),
    # https://openrouter.ai/docs/api/reference/parameters
    ("openrouter", "", {"links": True, "one_call": True, "formats": "schema", "most_stops": 4, "top_k": True,
                        "most_tools": 128}),
    ("openrouter", "anthropic/|google/", {"most_tools": None}),
    ("gemini|vertex_ai", "", {"documents": True}),
    # "At most 512 function declarations": https://github.com/google-gemini/gemini-cli/issues/19083
    # "maximum allowed nesting depth": https://github.com/google-gemini/gemini-cli/issues/5923
    # 5 stop sequences: https://ai.google.dev/api/generate-content#generationconfig
    ("gemini|vertex_ai", "gemini", {"schema": "gemini", "schema_depth": 10, "names_begin_with_letters": True,
                                    "most_tools": 512, "formats": "schema", "most_stops": 5, "top_k": True}),
    # before Gemini 3, "Function calling with a response mime type: 'application/json' is unsupported":
    # https://ai.google.dev/gemini-api/docs/structured-output#structured_outputs_with_tools
    ("gemini|vertex_ai", r"gemini-(flash-|pro-)?([3-9]|latest)", {"format_with_tools": True}),
    # https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry
    ("azure_ai", "claude", {"documents": True}),
    ("bedrock.*", "", {"documents": True, "tools_with_calls": True, "choices": frozenset()}),
    ("bedrock.*", "mistral", {"choices": frozenset({"any"})}),
    ("bedrock.*", "nova|claude", {"choices": frozenset({"any", "tool"})}),
    # https://platform.claude.com/docs/en/build-with-claude/extended-thinking#feature-compatibility
    ("bedrock.*|vertex_ai|azure_ai", "claude", {"tools_with_calls": True, "one_call": True, "top_k": True,
                                                "thinks_when_forced": False, "temperature_or_top_p": True}),
    ("bedrock.*|vertex_ai|azure_ai", "claude",
     {"own_thinking": CLAUDE, "thoughts": "blocks", "thinking": "budget", "marks": True}),
    # https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
    ("bedrock.*|vertex_ai|azure_ai", r"claude-\w+-(4[-.][6-9]|[5-9])", {"thinking": "effort"}),
    # https://platform.claude.com/docs/en/about-claude/models/migration-guide#migrating-to-claude-opus-4-7
    ("bedrock.*|vertex_ai|azure_ai", r"claude-\w+-(4[-.][7-9]|[5-9])", {"sampling": False, "top_k": False}),
    ("openrouter", "claude", {"marks": True}),
    # https://ai.google.dev/gemini-api/docs/thought-signatures
    ("gemini|vertex_ai", "gemini", {"own_thinking": GEMINI, "thoughts": "signatures"}),
    ("gemini|vertex_ai", r"gemini-(flash-|pro-)?[12]", {"equal_calls": False}),
    # https://ai.google.dev/gemini-api/docs/image-understanding#supported-formats
    ("gemini|vertex_ai", "gemini", {"refused_images": ("image/gif",)}),
    # https://docs.x.ai/docs/guides/image-understanding
    ("xai", "", {"refused_images": ("image/gif", "image/webp")}),
    ("deepseek", "", {"own_thinking": DEEPSEEK, "thoughts": "reasoning"}),
    ("moonshot", "", {"own_thinking": KIMI, "thoughts": "reasoning"}),
    ("minimax", "", {"own_thinking": MINIMAX, "thoughts": "tags"}),
    # "Unexpected role 'user' after role 'tool'": https://github.com/avante-corp/avante.nvim/issues/2562
    ("(?!bedrock).*", r"(mi[sx]tr|minist|magist|codest|devst|pixt)ral", {"user_after_result": False}),
    # https://docs.mistral.ai/capabilities/completion/prefix, https://api-docs.deepseek.com/guides/chat_prefix_completion
    ("mistral|deepseek", "", {"last_said": "prefix"}),
    # LiteLLM leaves a choice of one tool out for Mistral
    ("mistral", "", {"user_after_result": False, "choices": frozenset({"none", "any"})}),
    # https://platform.moonshot.ai/docs/guide/use-partial-mode-feature-of-kimi-api
    ("moonshot", "", {"last_said": "partial"}),
    # "Each message must have at least one content element": https://github.com/langchain-ai/langchain/issues/34140
    ("xai", "", {"no_text": ""}),
    # "top_p must be 1 when using greedy sampling"
    ("mistral", "", {"one_call": True, "formats": "schema", "temperature_or_top_p": True}),
    # "'tools' : maximum number of items is 128": https://github.com/gsd-build/gsd-2/issues/4376; formats neither
    # with tools nor in a stream: https://console.groq.com/docs/structured-outputs
    ("groq", "", {"most_tools": 128, "one_call": True, "most_stops": 4}),
    # "Thinking mode does not support this tool_choice": https://github.com/deepseek-ai/DeepSeek-V3/issues/1376
    ("deepseek", "", {"most_tools": 128, "most_stops": 16, "choices": _ONLY_NONE}),
    ("deepseek", "deepseek-chat", {"choices": _ALL, "thinks_when_forced": False}),
    # "tool_choice 'required' is incompatible with thinking enabled": https://github.com/can1357/oh-my-pi/issues/1077
    # names, "must start with a letter": https://platform.moonshot.ai/docs/api/tool-use
    ("moonshot", "", {"schema": "typed", "most_tools": 128, "choices": _ONLY_NONE, "most_stops": 5,
                      "names_begin_with_letters": True}),
    ("moonshot", r"thinking|k2\.[5-9]|k[3-9]", {"sampling": False}),
    # "the maximum is 200": https://github.com/anomalyco/opencode/issues/28911
    ("xai", "", {"most_tools": 200, "one_call": True, "formats": "schema", "most_stops": 4}),
    # 0 is refused: https://platform.minimax.io/docs/api-reference/text-openai-api
    ("minimax", "", {"least_temperature": 0.01, "most_tools": 128}),
    ("hosted_vllm", "", {"one_call": True, "formats": "schema"}),
    ("lm_studio", "", {"choices": frozenset({"none", "any"}), "formats": "schema"}),
    # https://github.com/ollama/ollama/blob/main/docs/api.md
    ("ollama.*", "", {"choices": frozenset(), "formats": "schema", "top_k": True}),
    # "stop: not supported with latest reasoning models": https://platform.openai.com/docs/api-reference/chat/create
    ("openai .*|azure( .*)?", r"\b(o\d|gpt-[5-9])", {"stops": False}),
    # LiteLLM makes of `none` a budget of 0, or Gemini 3's lowest level; `"think": false`; `"type": "disabled"`. Not for
    # those that only work in thinking mode: https://ai.google.dev/gemini-api/docs/thinking#set-budget
    ("gemini|vertex_ai|ollama.*|deepseek", r"^(?!.*(reasoner|claude|2\.5-pro|gpt-oss))", {
        "efforts": ("none", "low", "medium", "high")}),
    # https://docs.x.ai/docs/guides/reasoning
    ("xai", r"grok-([4-9]|3-mini|code)", {"stops": False}),
    ("deepseek|groq|minimax", "", {"images": False}),
    ("moonshot", r"k2-|moonshot-v1(?!.*vision)", {"images": False}),
    ("mistral", r"stral-(large-24|tiny|small-25|medium-2[35](?!08))|(code|dev|vox)stral|open-mi", {"images": False}),
    ("xai", r"grok-(2(?!.*vision)|3)", {"images": False}),
    # LiteLLM leaves out a call that is like another one, where it sends no ids; then there are too many results:
    # https://github.com/BerriAI/litellm/blob/main/litellm/llms/vertex_ai/gemini/transformation.py
    ("gemini|vertex_ai", "gemini-(?!3)", {"twin_calls": False}),
    # "must be a-z, A-Z, 0-9, with a length of 9": https://github.com/mistralai/mistral-common validator.py
    ("mistral", "", {"id_form": "nine"}),
    ("(?!bedrock).*", r"(mi[sx]tr|minist|magist|codest|devst|pixt)ral", {"id_form": "nine"}),
    # the model calls badly where the ids of the history have not its form, counted over all calls:
    # https://huggingface.co/moonshotai/Kimi-K2-Instruct/blob/main/docs/tool_call_guidance.md
    ("(?!bedrock).*", r"kimi-k2|kimi-(latest|thinking)", {"id_form": "counted"}),
)  # fmt: skip
"""Patterns: the provider's matches as a whole, the model's somewhere in its name."""


def traits(
    provider: str,
    model: str,
    *,
    api: str | None = None,
    own_server: bool = False,
    info: Mapping[str, Any] | None = None,
) -> Traits:
    """Return the traits of a provider's model.

    `api` and `own_server` (it has an address of its own) tell the ways of `openai` and `azure` apart.
    `info` is LiteLLM's entry for the model, empty for an unknown one.
    """
    found, known = Traits(), info or {}
    way = _way(provider_info(provider).litellm, api, own_server=own_server)
    for providers, models, facts in _TABLE:
        if re.fullmatch(providers, way) and re.search(models, model.lower()):
            found = replace(found, **facts)
    limit = known.get("max_output_tokens")
    if found.efforts and known.get("supports_xhigh_reasoning_effort") is True:
        found = replace(found, efforts=(*found.efforts, "xhigh"))
    return replace(
        found,
        images=found.images or known.get("supports_vision") is True,
        output_limit=limit if isinstance(limit, int) else None,
        documents=found.documents and known.get("supports_pdf_input", True) is not False,
    )


def _way(provider: str, api: str | None, *, own_server: bool) -> str:
    """Return the name in the table: `openai own chat`, `openai responses`, …; the same for `azure`."""
    if provider == "openai":
        own = "own " if own_server else ""
        return f"openai {own}{api or ('chat' if own_server else 'responses')}"
    return f"azure {api}" if provider == "azure" and api else provider
