"""What becomes of a request with each provider, as its look-alike receives it: for docs/fallback.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lookalikes.script import Script, say
from tests.pdfs import encoded, pdf
from tests.translator.matrix.row import MARK, PNG, READ, USER, WORDS, Json
from tests.translator.matrix.run import PLAIN, Asked

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "OpenAI": ("openai responses",),
    "OpenAI by chat, Azure": ("openai gpt-4o", "azure"),
    "Gemini 2.5": ("google-ai",),
    "Gemini 3": ("gemini 3",),
    "Claude on Azure": ("azure claude",),
    "Claude on Bedrock": ("invoke claude", "converse claude"),
    "Mistral": ("mistral",),
    "Groq": ("groq",),
    "DeepSeek": ("deepseek",),
    "Kimi": ("kimi k2.5",),
    "MiniMax": ("minimax",),
    "xAI": ("xai",),
    "OpenRouter": ("openrouter",),
    "Ollama": ("ollama",),
    "vLLM": ("hosted vllm",),
    "other servers": ("vllm", "lm studio"),
}
"""Targets of the matrix, by the heads of the table. Those of a column do the same."""
PDF_DATA = encoded(pdf("PAGE ONE", "", "PAGE THREE"))


@dataclass(frozen=True)
class Fate:
    """`words` for the table, if what the provider receives has all of these patterns, and none of those."""

    words: str
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A request, and what may become of it: the first that fits counts."""

    name: str
    fields: Json
    fates: tuple[Fate, ...]


def seen(asked: Asked, row: Row) -> str:
    """Ask, and return what has become of the request; what was received if nothing fits."""
    asked.lookalike.script = Script()
    asked.lookalike.script.add(say("so"))
    answer = asked.ask({**PLAIN, **row.fields, "stream": True})
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    bodies = [each.body for each in asked.lookalike.requests if each.path != "/api/show"]
    received = json.dumps(bodies[-1], ensure_ascii=False)
    fates = (fate for fate in row.fates if _fits(fate, received))
    return next((fate.words for fate in fates), received)


def _fits(fate: Fate, received: str) -> bool:
    return all(re.search(part, received) for part in fate.has) and not any(
        re.search(part, received) for part in fate.lacks
    )


def carried(*has: str) -> Fate:
    return Fate("✓", has)


def text(words: str) -> str:
    """Return a pattern for `words`."""
    return re.escape(words)


def says(*blocks: Json) -> Json:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def after_call(*blocks: Json, before: tuple[Json, ...] = ()) -> Json:
    use = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "CALLED"}}
    return {
        "tools": [READ],
        "messages": [
            USER,
            {"role": "assistant", "content": [*before, use]},
            {"role": "user", "content": list(blocks)},
        ],
    }


def result(content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


IMAGE: Json = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
LINK = "https://pictures.test/a.png"
LINKED: Json = {"type": "image", "source": {"type": "url", "url": LINK}}
PDF: Json = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
}
LETTER: Json = {
    "type": "document",
    "title": "TITLE",
    "source": {"type": "text", "media_type": "text/plain", "data": "LETTER"},
}
BOOK: Json = {
    "type": "document",
    "source": {"type": "content", "content": [{"type": "text", "text": "CHAPTER"}]},
}
KEPT: Json = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
KEPT_IMAGE: Json = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
FORM: Json = {
    "type": "object",
    "properties": {"FORM": {"type": "string"}},
    "required": ["FORM"],
    "additionalProperties": False,
}
LONG_NAME = "mcp__server__" + "x" * 70

IN_WORDS = "in words"
OUT = "–"
AS_TEXT = Fate("its text", ("PAGE ONE", text("[page 3]\\nPAGE THREE")), (text(PDF_DATA),))
AS_PDF = carried(text(PDF_DATA))
UNSEEN = Fate("a word", ("can't see",), (text(PNG),))
FORCED = '"tool_choice": "(required|any)"|"ANY"|"toolChoice": {"any"|{"type": "any"'
EFFORT = Fate(
    "an effort", ('"(reasoning_)?effort": "(low|medium|high)"|thinkingLevel|thinkingBudget',)
)
ON = Fate("on or off", ('"think": true|"thinking": {"type": "enabled"}',))
DEFAULT = Fate("as by default", lacks=("[tT]hink", "effort"))

ROWS = (
    Row("what user and assistant said",
        {"messages": [USER, {"role": "assistant", "content": "SAID"}, {"role": "user", "content": "ASKED"}]},
        (carried("SAID", "ASKED"),)),
    Row("system prompt", {"system": [{"type": "text", "text": "SYS1", **MARK}, {"type": "text", "text": "SYS2"}]},
        (Fate("as one text", (text("SYS1\\n\\nSYS2"),)),)),
    Row("`role: system` between turns", {"messages": [USER, {"role": "system", "content": "NOTE"}]},
        (Fate("said by the user", ("NOTE",)),)),
    Row("tools and their schemas", {"tools": [{**READ, **MARK}]},
        (carried("Reads a file.", "additionalProperties"), Fate("a subset", ("Reads a file.", "file_path")))),
    Row("tool names that the provider refuses", {"tools": [{**READ, "name": LONG_NAME}]},
        (Fate("changed; the client's own in the answer", ("mcp__server__",), (LONG_NAME,)),)),
    Row("Anthropic's own tools (search, bash, …)",
        {"tools": [READ, {"type": "web_search_20250305", "name": "web_search"},
                   {"type": "bash_20250124", "name": "bash"}]},
        (Fate("left out", ("Read",), ("web_search", "bash")),)),
    Row("300 tools", {"tools": [{**READ, "name": f"tool_{number}"} for number in range(300)]},
        (carried("tool_299"), Fate("200", ("tool_199",), ("tool_200",)), Fate("128", ("tool_127",), ("tool_128",)))),
    Row("`tool_choice: any`", {"tools": [READ], "tool_choice": {"type": "any"}},
        (carried(FORCED), Fate(IN_WORDS, ("Call at least one of the tools",)))),
    Row("`tool_choice` of one tool",
        {"tools": [READ, {**READ, "name": "Other"}], "tool_choice": {"type": "tool", "name": "Read"}},
        (Fate("✓, as the only one", (FORCED,), ("Other",)),
         carried(r'"tool_choice": {"(type|function|name)"|\["Read"\]|"toolChoice": {"tool"'),
         Fate(IN_WORDS, ("Call the tool Read now",)))),
    Row("`tool_choice: none`", {"tools": [READ], "tool_choice": {"type": "none"}},
        (carried('"tool_choice": "none"|"NONE"|{"type": "none"'), Fate("no tools", lacks=("file_path",)))),
    Row("`disable_parallel_tool_use`",
        {"tools": [READ], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        (carried('"parallel_tool_calls": false|"disable_parallel_tool_use": true'),
         Fate(IN_WORDS, ("Call at most one tool",)))),
    Row("thinking with a budget", {"thinking": {"type": "enabled", "budget_tokens": 4000}, "max_tokens": 8000},
        (carried('"budget_tokens": 4000'), Fate("a budget", ('"budget_tokens"',)), EFFORT, ON, DEFAULT)),
    Row("adaptive thinking with an effort",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "max_tokens": 8000},
        (Fate("a budget", ('"budget_tokens"',)), EFFORT, ON, DEFAULT)),
    Row("tool calls and results", after_call(result("RESULT")), (carried("CALLED", "RESULT"),)),
    Row("`is_error` of a result", after_call(result("RESULT", is_error=True)),
        (Fate(IN_WORDS, (text("[the tool failed] RESULT"),)),)),
    Row("image in a result", after_call(result([WORDS, IMAGE])), (carried(text(PNG), "WORDS"), UNSEEN)),
    Row("image", says(WORDS, IMAGE), (carried(text(PNG), "WORDS"), UNSEEN)),
    Row("image by its address", says(WORDS, LINKED),
        (Fate("its address", (text(f"[image: {LINK}]"),)), carried(text(LINK)), Fate("a word", ("can't see",)))),
    Row("PDF", says(WORDS, PDF), (AS_PDF, AS_TEXT)),
    Row("PDF in a result", after_call(result([WORDS, PDF])), (AS_PDF, AS_TEXT)),
    Row("document of text or of blocks", says(WORDS, LETTER, BOOK),
        (Fate("as text", (text("[TITLE]\\nLETTER"), "CHAPTER")),)),
    Row("document or image that is kept at Anthropic", says(KEPT, KEPT_IMAGE),
        (Fate("a word in its place", ("kept at Anthropic",), ("file_1",)),)),
    Row("thinking in the history",
        after_call(result("RESULT"), before=({"type": "thinking", "thinking": "THOUGHT", "signature": "eA=="},
                                             {"type": "redacted_thinking", "data": "REDACTED"})),
        (carried("THOUGHT"), Fate("left out", ("CALLED",), ("THOUGHT", "REDACTED")))),
    Row("results of Anthropic's search in the history",
        {"messages": [USER, {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "QUERY"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
                {"type": "web_search_result", "title": "FOUND", "url": "https://found.test",
                 "encrypted_content": "SEALED"}]}, WORDS]}, USER]},
        (Fate("titles and addresses, in words", ("QUERY", "FOUND: https://found.test"), ("SEALED",)),)),
    Row("calls and results of its other tools and of MCP servers, search results, summaries",
        {"messages": [USER, {"role": "assistant", "content": [
            {"type": "mcp_tool_use", "id": "mcptoolu_1", "server_name": "SERVER", "name": "CALLED", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "content": [{"type": "text", "text": "SAID"}]},
            {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content":
                {"type": "web_fetch_result", "url": "https://page.test", "content": LETTER}},
            {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content":
                {"type": "code_execution_result", "stdout": "OUT", "stderr": "", "return_code": 0, "content": []}},
            {"type": "compaction", "content": "SUMMARY", "encrypted_content": "SEALED"}]}, USER]},
        (Fate(IN_WORDS, ("SERVER: CALLED", "SAID", "https://page.test", "LETTER", "OUT", "SUMMARY"), ("SEALED",)),)),
    Row("`max_tokens` beyond the model's", {"max_tokens": 999_999},
        (carried("999999"), Fate("the model's", (r'(?i)"max_?\w*tokens": \d',)))),
    Row("`stop_sequences`", {"stop_sequences": ["HALT"]},
        (carried("HALT"), Fate("cut here", lacks=("HALT",)))),
    Row("`temperature`", {"temperature": 0.5}, (carried(r"0\.5"), Fate(OUT, lacks=(r"0\.5",)))),
    Row("`top_k`", {"top_k": 17}, (carried("17[,}]"), Fate(OUT, lacks=("17[,}]",)))),
    Row("form of the answer (`output_config.format`, `output_format`)",
        {"output_config": {"format": {"type": "json_schema", "schema": FORM}}},
        (Fate(IN_WORDS, ("nothing but JSON",)), carried("FORM"))),
    Row("that beside tools",
        {"output_config": {"format": {"type": "json_schema", "schema": FORM}}, "tools": [READ]},
        (Fate(IN_WORDS, ("nothing but JSON",)), carried("FORM"))),
    Row("cache marks", says({**WORDS, **MARK}),
        (Fate("set anew", ('"cache_control": {"type": "ephemeral"}|"cachePoint"',)),
         Fate("left out", ("WORDS",), ("cache_control",)))),
    Row("`metadata`, betas, `service_tier`, `context_management`, MCP servers, whatever is new",
        {**says(WORDS), "metadata": {"user_id": "MARKED"}, "betas": ["MARKED"],
         "service_tier": "standard_only", "context_management": {"edits": [{"type": "MARKED"}]},
         "mcp_servers": [{"type": "url", "url": "MARKED", "name": "x", "authorization_token": "MARKED"}],
         "container": "MARKED", "speed": "MARKED", "of_tomorrow": "MARKED"},
        (Fate("left out", ("WORDS",), ("MARKED", "standard_only")),)),
)  # fmt: skip
