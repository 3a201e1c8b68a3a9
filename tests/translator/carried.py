"""What becomes of a request, and of an answer, with each provider. The table in docs/fallback.md is made of these rows.

`python -m tests.translator.carried` writes it there.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurolink_mitm.core.providers.chat_ends import FAILED, MEANINGS
from tests.lookalikes.script import Call, Reply, calls, say, think
from tests.pdfs import encoded, pdf
from tests.translator.providers import KINDS, READ, USER

Json = dict[str, Any]

PAGE = Path(__file__).parents[2] / "docs" / "fallback.md"
BEGIN, END = "<!-- made by tests/translator/carried.py -->", "<!-- end of what is made -->"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 32).decode()
PDF_DATA = encoded(pdf("PAGE ONE", "", "PAGE THREE"))


@dataclass(frozen=True)
class Fate:
    """`words` for the table; what the provider receives holds, and lacks, these; or the request is refused."""

    words: str
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    refused: bool = False


@dataclass(frozen=True)
class Row:
    name: str
    fields: Json
    fates: Mapping[str, Fate]


@dataclass(frozen=True)
class Said:
    """Of an answer: the types of its blocks, and why it ended; None where it is an error."""

    name: str
    reply: Reply
    fates: Mapping[str, tuple[str, list[str], str | None]]
    fields: Json = field(default_factory=dict)


def carried(*holds: str) -> Fate:
    return Fate("carried", holds)


def lost(*lacks: str) -> Fate:
    return Fate("**lost**", lacks=lacks)


def by_all(fate: Fate) -> dict[str, Fate]:
    return dict.fromkeys(KINDS, fate)


def each(chat: Fate, responses: Fate, gemini: Fate, ollama: Fate) -> dict[str, Fate]:
    return dict(zip(KINDS, (chat, responses, gemini, ollama), strict=True))


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


WORDS: Json = {"type": "text", "text": "WORDS"}
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
AS_TEXT = Fate("its text", ("PAGE ONE", "[page 3]\\nPAGE THREE"), (PDF_DATA,))
MARK: Json = {"cache_control": {"type": "ephemeral"}}
FORM: Json = {
    "type": "object",
    "properties": {"FORM": {"type": "string"}},
    "required": ["FORM"],
    "additionalProperties": False,
}
LONG_NAME = "mcp__server__" + "x" * 70

ROWS = (
    Row("what user and assistant said",
        {"messages": [USER, {"role": "assistant", "content": "SAID"}, {"role": "user", "content": "ASKED"}]},
        by_all(carried("SAID", "ASKED"))),
    Row("system prompt", {"system": [{"type": "text", "text": "SYS1", **MARK}, {"type": "text", "text": "SYS2"}]},
        by_all(Fate("as one text", ("SYS1\\n\\nSYS2",), ("cache_control",)))),
    Row("`role: system` between turns", {"messages": [USER, {"role": "system", "content": "NOTE"}]},
        by_all(Fate("said by the user", ("NOTE",)))),
    Row("tools and their schemas", {"tools": [{**READ, **MARK}]},
        each(carried("Reads a file.", "additionalProperties"), carried("Reads a file.", "additionalProperties"),
             Fate("in Gemini's subset of JSON Schema", ("Reads a file.", "file_path"), ("additionalProperties",)),
             carried("Reads a file.", "file_path"))),
    Row("tool names beyond 64 characters", {"tools": [{**READ, "name": LONG_NAME}]},
        by_all(Fate("shortened; long again in the answer", ("mcp__server__",), (LONG_NAME,)))),
    Row("Anthropic's own tools (search, bash, …)",
        {"tools": [READ, {"type": "web_search_20250305", "name": "web_search"},
                   {"type": "bash_20250124", "name": "bash"}]},
        by_all(Fate("left out", ("Read",), ("web_search", "bash")))),
    Row("`tool_choice: any`", {"tools": [READ], "tool_choice": {"type": "any"}},
        each(carried('"required"'), carried('"required"'), carried('"ANY"'),
             Fate("in words", ("Call at least one of the tools",), ("tool_choice",)))),
    Row("`tool_choice` of one tool", {"tools": [READ], "tool_choice": {"type": "tool", "name": "Read"}},
        each(Fate("as the only tool, which must be called", ('"required"',)), carried('"tool_choice": {'),
             carried('["Read"]'),
             Fate("in words", ("Call the tool Read now.",), ("tool_choice",)))),
    Row("thinking with a budget", {"thinking": {"type": "enabled", "budget_tokens": 4000}, "max_tokens": 8000},
        each(Fate("as an effort", ('"reasoning_effort": "medium"',)), Fate("as an effort", ('"effort": ',)),
             Fate("as low, medium or high", ("thinkingBudget",)), Fate("on or off", ('"think": true',)))),
    Row("adaptive thinking with an effort",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "max_tokens": 8000},
        each(carried('"reasoning_effort": "high"'), carried('"effort": "high"'),
             Fate("as low, medium or high", ("thinkingBudget",)), Fate("on or off", ('"think": true',)))),
    Row("tool calls and results", after_call(result("RESULT")), by_all(carried("CALLED", "RESULT"))),
    Row("`is_error` of a result", after_call(result("RESULT", is_error=True)),
        by_all(Fate("in words", ("[the tool failed] RESULT",)))),
    Row("image in a result", after_call(result([WORDS, IMAGE])), by_all(carried(PNG, "WORDS"))),
    Row("image", says(WORDS, IMAGE), by_all(carried(PNG, "WORDS"))),
    Row("image by its address", says(WORDS, LINKED),
        each(carried(f'"{LINK}"'), carried(f'"{LINK}"'), Fate("the address, in words", (f"[image: {LINK}]",)),
             Fate("the address, in words", (f"[image: {LINK}]",)))),
    Row("PDF", says(WORDS, PDF),
        each(AS_TEXT, carried(PDF_DATA), carried(PDF_DATA), AS_TEXT)),
    Row("PDF in a result", after_call(result([WORDS, PDF])),
        each(AS_TEXT, carried(PDF_DATA), carried(PDF_DATA), AS_TEXT)),
    Row("document of text or of blocks", says(WORDS, LETTER, BOOK),
        by_all(Fate("as text", ("[TITLE]\\nLETTER", "CHAPTER")))),
    Row("document or image that is kept at Anthropic", says(KEPT, KEPT_IMAGE),
        by_all(Fate("a word in its place", ("kept at Anthropic",), ("file_1",)))),
    Row("thinking in the history",
        after_call(result("RESULT"), before=({"type": "thinking", "thinking": "THOUGHT", "signature": "eA=="},
                                             {"type": "redacted_thinking", "data": "REDACTED"})),
        by_all(Fate("left out", ("CALLED",), ("THOUGHT", "REDACTED")))),
    Row("results of Anthropic's search in the history",
        {"messages": [USER, {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "QUERY"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
                {"type": "web_search_result", "title": "FOUND", "url": "https://found.test",
                 "encrypted_content": "SEALED"}]}, WORDS]}, USER]},
        by_all(Fate("titles and addresses, in words", ("QUERY", "FOUND: https://found.test"), ("SEALED",)))),
    Row("calls and results of its other tools and of MCP servers, search results, summaries",
        {"messages": [USER, {"role": "assistant", "content": [
            {"type": "mcp_tool_use", "id": "mcptoolu_1", "server_name": "SERVER", "name": "CALLED", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "content": [{"type": "text", "text": "SAID"}]},
            {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content":
                {"type": "web_fetch_result", "url": "https://page.test", "content": LETTER}},
            {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content":
                {"type": "code_execution_result", "stdout": "OUT", "stderr": "", "return_code": 0, "content": []}},
            {"type": "compaction", "content": "SUMMARY", "encrypted_content": "SEALED"}]}, USER]},
        by_all(Fate("in words", ("SERVER: CALLED", "SAID", "https://page.test", "LETTER", "OUT", "SUMMARY"),
                    ("SEALED",)))),
    Row("`max_tokens` beyond the model's", {"max_tokens": 200_000},
        each(Fate("the model's", ("128000",), ("200000",)), Fate("the model's", ("128000",), ("200000",)),
             Fate("the model's", ("65535",), ("200000",)), carried("200000"))),
    Row("`stop_sequences`", {"stop_sequences": ["HALT"]},
        each(Fate("where the model takes them; else the answer is cut there", lacks=("HALT",)),
             Fate("the answer is cut there", lacks=("HALT",)), carried("HALT"), carried("HALT"))),
    Row("`temperature`", {"temperature": 0.5},
        each(Fate("where the model takes it", lacks=("0.5",)), Fate("where the model takes it", lacks=("0.5",)),
             carried("0.5"), carried("0.5"))),
    Row("`top_k`", {"top_k": 17},
        each(Fate("left out", lacks=("17,", "top_k")), Fate("left out", lacks=("17,", "top_k")), carried("17"),
             carried("17"))),
    Row("form of the answer (`output_config.format`)",
        {"output_config": {"format": {"type": "json_schema", "schema": FORM}}},
        each(carried("FORM"), carried("FORM"), carried("FORM"), carried("FORM"))),
    Row("cache marks, `metadata`, betas, `service_tier`, `context_management`, MCP servers, whatever is new",
        {**says({**WORDS, **MARK}), "metadata": {"user_id": "MARKED"}, "betas": ["MARKED"],
         "service_tier": "standard_only", "context_management": {"edits": [{"type": "MARKED"}]},
         "mcp_servers": [{"type": "url", "url": "MARKED", "name": "x", "authorization_token": "MARKED"}],
         "container": "MARKED", "speed": "MARKED", "of_tomorrow": "MARKED", "cache_control": {"type": "ephemeral"}},
        by_all(Fate("left out", ("WORDS",), ("MARKED", "standard_only", "ephemeral", "cache_control")))),
)  # fmt: skip

TWO = calls(
    Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"}), calls_come="together"
)
UNSIGNED = ("carried, unsigned", ["thinking", "text"], "end_turn")
UNTOLD = ("not told by OpenAI", ["text"], "end_turn")
SUMMARY = ("its summary; goes back to its author", ["thinking", "text"], "end_turn")
NEXT = ("the next entry is asked", [], None)
ANSWERS = (
    Said("thinking", think("hm", "so"),
         dict(zip(KINDS, (UNTOLD, SUMMARY, UNSIGNED, UNSIGNED), strict=True)),
         {"thinking": {"type": "adaptive"}}),
    Said("parallel tool calls", TWO,
         dict.fromkeys(KINDS, ("carried", ["tool_use", "tool_use"], "tool_use")), {"tools": [READ]}),
    Said("end by the limit of tokens", say("half", finish="length"),
         dict.fromkeys(KINDS, ("`max_tokens`", ["text"], "max_tokens"))),
    Said("words that a filter cuts off", say("half", finish="filter"),
         {**dict.fromkeys(KINDS, ("`refusal`", ["text"], "refusal")),
          "ollama": ("`end_turn`", ["text"], "end_turn")}),
    Said("nothing at all", say(""), dict.fromkeys(KINDS, NEXT)),
    Said("nothing, because of a filter", say("", finish="filter"),
         {**dict.fromkeys(KINDS, ("`refusal`", [], "refusal")), "ollama": NEXT}),
)  # fmt: skip


ERROR = "an error; before the first word, the next entry is asked"
GETS = {
    "end_turn": "`end_turn`; `tool_use` if a tool is called; `stop_sequence` if the provider names it",
    "tool_use": "`tool_use`; `end_turn` if none is called",
    "max_tokens": "`max_tokens`; a call that is cut off is left out",
    "refusal": "`refusal`, with the text that came, if any; no calls",
    FAILED: ERROR,
}
"""By what a finish reason means: what the client gets."""


def table() -> str:
    """The tables, as they stand in the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    heads = " | ".join(kind.title for kind in KINDS.values())
    rule = "|---" * (len(KINDS) + 1) + "|"
    yield BEGIN
    yield from (f"| in a request | {heads} |", rule)
    for row in ROWS:
        yield _line(row.name, [row.fates[kind].words for kind in KINDS])
    yield ""
    yield from (f"| in an answer | {heads} |", rule)
    for said in ANSWERS:
        yield _line(said.name, [said.fates[kind][0] for kind in KINDS])
    yield ""
    yield from ("| how an answer in chat form ends | what the client gets |", "|---|---|")
    for meaning, reasons in MEANINGS.items():
        yield _line(", ".join(f"`{reason}`" for reason in reasons), [GETS[meaning]])
    yield _line("another reason, or `[DONE]` alone", [GETS["end_turn"]])
    yield _line("no reason and no `[DONE]`", [ERROR])
    yield _line("a call whose input is no JSON object", [ERROR])
    yield END


def _line(name: str, words: list[str]) -> str:
    return f"| {name} | {' | '.join(words)} |"


def page(written: str) -> str:
    """The page with fresh tables."""
    before, _, rest = written.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
