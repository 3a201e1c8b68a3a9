"""Rows about system prompts, turns, pictures, documents, and what else stands in a conversation."""

from __future__ import annotations

from tests.translator.matrix.row import (
    MARK,
    PDF,
    PDF_DATA,
    PNG,
    READ,
    USER,
    WORDS,
    Abilities,
    Json,
    Row,
    picture,
    result,
    says,
    talk,
    text,
    use,
)

LINK = "https://pictures.test/a.png"
SIGNED: Json = {"type": "thinking", "thinking": "THOUGHT", "signature": "ErUBCkYIBhgC" + "A" * 80}
REDACTED: Json = {"type": "redacted_thinking", "data": "SEALED" * 9}
SEARCH: Json = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "QUERY"},
}
ROUND = ("ASKED", [use()], [result()])
OFFERED: Json = {"tools": [READ]}


def _document(source: Json, **more: object) -> Json:
    return {"type": "document", "source": source, **more}


def _pdf_told(able: Abilities, body: Json) -> str | None:
    """A PDF arrives as such, or its text does."""
    received = str(body)
    if PDF_DATA in received or "PDFWORDS" in received:
        return None
    return "neither the PDF nor its text arrived"


def _ids_told_apart(able: Abilities, body: Json) -> str | None:
    received = str(body)
    if "FIRSTRESULT" in received and "SECONDRESULT" in received:
        return None
    return "a result is missing"


def _linked(able: Abilities, body: Json) -> str | None:
    return None if LINK in str(body) or not able.sees else "the address is missing"


SYSTEM = (
    Row("system: a text", {"system": "SYSTEM"}, ("SYSTEM", "ASKED")),
    Row("system: blocks with marks", {"system": [text("SYS1", **MARK), text("SYS2", **MARK)]},
        ("SYS1", "SYS2"), ("cache_control", "ephemeral")),
    Row("system: empty text", {"system": ""}, ("ASKED",)),
    Row("system: empty list", {"system": []}, ("ASKED",)),
    Row("system: a blank block", {"system": [text("SYS1"), text("\n\n")]}, ("SYS1",)),
    Row("system: a message between turns",
        {"messages": [USER, {"role": "assistant", "content": "SAID"}, {"role": "system", "content": "NOTE"}, USER]},
        ("SAID", "NOTE")),
    Row("system: a message at the end", {"messages": [USER, {"role": "system", "content": "NOTE"}]},
        ("ASKED", "NOTE")),
    Row("system: a message after results",
        {"messages": [*talk(*ROUND)["messages"], {"role": "system", "content": "NOTE"}], **OFFERED},
        ("RESULT", "NOTE")),
)  # fmt: skip

TURNS = (
    Row("turns: a text", {}, ("ASKED",)),
    Row("turns: a conversation", talk("ONE", "TWO", "THREE"), ("ONE", "TWO", "THREE")),
    Row("turns: blocks", talk([text("ONE"), text("TWO")], [text("THREE")], [text("FOUR")]),
        ("ONE", "TWO", "THREE", "FOUR")),
    Row("turns: two of the user", {"messages": [{"role": "user", "content": "ONE"}, USER]}, ("ONE", "ASKED")),
    Row("turns: two of the assistant",
        {"messages": [USER, {"role": "assistant", "content": "ONE"}, {"role": "assistant", "content": "TWO"}, USER]},
        ("ONE", "TWO")),
    Row("turns: the assistant first", {"messages": [{"role": "assistant", "content": "HELLO"}, USER]},
        ("HELLO", "ASKED")),
    Row("turns: the assistant last", talk("ASKED", "PREFILL"), ("ASKED", "PREFILL")),
    Row("turns: the assistant last, with a space", talk("ASKED", "PREFILL "), ("ASKED", "PREFILL"),
        faulty="whitespace"),
    Row("turns: an empty text of the user", talk("", "SAID", "ASKED"), ("SAID", "ASKED")),
    Row("turns: an empty text of the assistant", talk("ONE", "", "ASKED"), ("ONE", "ASKED")),
    Row("turns: a blank block", talk([text("ONE"), text("\n\n")], [text(" "), text("SAID")], "ASKED"),
        ("ONE", "SAID", "ASKED")),
    Row("turns: an empty list", talk([], "SAID", "ASKED"), ("SAID", "ASKED")),
    Row("turns: unicode", talk("ünï\U0001f600 \u2028\ufeff 漢字 \u0000end", "SAID", "ASKED"), ("漢字", "ASKED")),
    Row("turns: a lone surrogate", talk("a\udc80b", "SAID", "ASKED"), ("SAID", "ASKED")),
    Row("turns: a long text", talk("x" * 300_000, "SAID", "ASKED"), ("x" * 9999, "ASKED")),
    Row("turns: marks in blocks", says(text("WORDS", **MARK)), ("WORDS",), ("cache_control",)),
    Row("turns: citations of a text", talk("ONE", [text("SAID", citations=[{"type": "char_location", "cited_text": "x",
        "document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1}])], "ASKED"),
        ("SAID",), ("char_location",)),
    Row("turns: a block of tomorrow", says(WORDS, {"type": "hologram", "data": "HOLOGRAM"}), ("WORDS",)),
)  # fmt: skip

PICTURES = (
    Row("picture: PNG", says(WORDS, picture()), ("WORDS",), picture=True),
    Row("picture: JPEG", says(WORDS, picture("jpeg")), ("WORDS",), ("image/jpg",)),
    Row("picture: WebP", says(WORDS, picture("webp")), ("WORDS",)),
    Row("picture: GIF", says(WORDS, picture("gif")), ("WORDS",)),
    Row("picture: nothing beside it", says(picture()), picture=True),
    Row("picture: with a mark", says(WORDS, {**picture(), **MARK}), ("WORDS",), ("cache_control",), picture=True),
    Row("picture: by its address", says(WORDS, {"type": "image", "source": {"type": "url", "url": LINK}}),
        ("WORDS",), check=_linked),
    Row("picture: a file of Anthropic's", says(WORDS, {"type": "image",
        "source": {"type": "file", "file_id": "file_1"}}), ("WORDS",)),
    Row("picture: in a result", talk("ASKED", [use()], [result([text("RESULT"), picture()])], **OFFERED),
        ("RESULT",), picture=True),
    Row("picture: a result of nothing else", talk("ASKED", [use()], [result([picture()])], **OFFERED), picture=True),
    Row("picture: in one of two results",
        talk("ASKED", [use("toolu_1"), use("toolu_2")], [result([picture()], "toolu_1"), result("RESULT", "toolu_2")],
             **OFFERED), ("RESULT",), picture=True),
    Row("picture: in the past", talk([WORDS, picture()], "SAID", "ASKED"), ("WORDS", "SAID"), picture=True),
)  # fmt: skip

DOCUMENTS = (
    Row("document: PDF", says(WORDS, PDF), ("WORDS",), check=_pdf_told),
    Row("document: PDF with a title and citations",
        says(WORDS, {**PDF, "title": "TITLE.pdf", "context": "c", "citations": {"enabled": True}, **MARK}),
        ("WORDS",), ("cache_control",), check=_pdf_told),
    Row("document: PDF in a result", talk("ASKED", [use()], [result([text("RESULT"), PDF])], **OFFERED),
        ("RESULT",), check=_pdf_told),
    Row("document: PDF in the past", talk([WORDS, PDF], "SAID", "ASKED"), ("WORDS", "SAID"), check=_pdf_told),
    Row("document: PDF beside a result", talk("ASKED", [use()], [result(), PDF], **OFFERED), ("RESULT",),
        check=_pdf_told),
    Row("document: PDF that is none", says(WORDS, _document(
        {"type": "base64", "media_type": "application/pdf", "data": PNG})), ("WORDS",)),
    Row("document: PDF by its address", says(WORDS, _document({"type": "url", "url": "https://papers.test/a.pdf"})),
        ("WORDS",)),
    Row("document: text", says(WORDS, _document(
        {"type": "text", "media_type": "text/plain", "data": "LETTER"}, title="TITLE")), ("WORDS", "LETTER", "TITLE")),
    Row("document: content as a text", says(WORDS, _document({"type": "content", "content": "LETTER"})),
        ("WORDS", "LETTER")),
    Row("document: content as blocks", says(WORDS, _document({"type": "content", "content": [text("LETTER")]})),
        ("WORDS", "LETTER")),
    Row("document: a file of Anthropic's", says(WORDS, _document({"type": "file", "file_id": "file_1"})), ("WORDS",)),
    Row("document: text in a result", talk("ASKED", [use()], [result([_document(
        {"type": "text", "media_type": "text/plain", "data": "LETTER"})])], **OFFERED), ("LETTER",)),
    Row("document: a search result", says(WORDS, {"type": "search_result", "source": "https://found.test",
        "title": "TITLE", "content": [text("FOUND")]}), ("WORDS", "FOUND", "TITLE")),
    Row("document: search results of a tool", talk("ASKED", [use()], [result([{"type": "search_result",
        "source": "https://found.test", "title": "TITLE", "content": [text("FOUND")]}])], **OFFERED), ("FOUND",)),
)  # fmt: skip

SERVER_TOOLS = (
    Row("server tool: web search", talk("ASKED", [SEARCH, {"type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "title": "FOUND",
        "url": "https://found.test", "encrypted_content": "SEALED"}]}, text("SAID")], "MORE"),
        ("FOUND", "https://found.test", "SAID"), ("SEALED",)),
    Row("server tool: web search that failed", talk("ASKED", [SEARCH, {"type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1", "content": {"type": "web_search_tool_result_error",
        "error_code": "max_uses_exceeded"}}, text("SAID")], "MORE"), ("SAID",)),
    Row("server tool: web fetch", talk("ASKED", [{**SEARCH, "name": "web_fetch", "input": {"url": "https://f.test"}},
        {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": {"type": "web_fetch_result",
         "url": "https://f.test", "content": {"type": "document", "source": {"type": "text",
         "media_type": "text/plain", "data": "FETCHED"}, "title": "PAGE"}}}, text("SAID")], "MORE"),
        ("FETCHED", "SAID")),
    Row("server tool: code execution", talk("ASKED", [
        {**SEARCH, "name": "code_execution", "input": {"code": "print()"}},
        {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {
         "type": "code_execution_result", "stdout": "STDOUT", "stderr": "STDERR", "return_code": 1, "content": []}},
        text("SAID")], "MORE"), ("STDOUT", "STDERR", "SAID")),
    Row("server tool: bash code execution", talk("ASKED", [{**SEARCH, "name": "bash_code_execution",
        "input": {"command": "ls"}}, {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1",
        "content": {"type": "bash_code_execution_result", "stdout": "STDOUT", "stderr": "", "return_code": 0,
                    "content": []}}, text("SAID")], "MORE"), ("STDOUT", "SAID")),
    Row("server tool: MCP", talk("ASKED", [{"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "look",
        "server_name": "srv", "input": {"q": "QUERY"}}, {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1",
        "is_error": False, "content": [text("FOUND")]}, text("SAID")], "MORE"), ("FOUND", "SAID")),
    Row("server tool: a reference", talk("ASKED", [use(name="ToolSearch", q="x")], [result(
        [{"type": "tool_reference", "tool_name": "Read"}])], **OFFERED), ("Read",)),
    Row("server tool: an upload", says(WORDS, {"type": "container_upload", "file_id": "file_1"}), ("WORDS",)),
)  # fmt: skip

HISTORY = (
    Row("history: a round of tools", talk(*ROUND, **OFFERED), ("CALLED", "RESULT")),
    Row("history: text before a call", talk("ASKED", [text("SAID"), use()], [result()], **OFFERED),
        ("SAID", "CALLED", "RESULT")),
    Row("history: a blank text before a call", talk("ASKED", [text("\n\n"), use()], [result()], **OFFERED),
        ("CALLED", "RESULT")),
    Row("history: words after a result", talk("ASKED", [use()], [result(), text("AFTER")], **OFFERED),
        ("RESULT", "AFTER")),
    Row("history: words before a result", talk("ASKED", [use()], [text("BEFORE"), result()], **OFFERED),
        ("RESULT", "BEFORE")),
    Row("history: parallel calls", talk("ASKED", [use("toolu_1", file_path="AAA"), use("toolu_2", file_path="BBB")],
        [result("FIRSTRESULT", "toolu_1"), result("SECONDRESULT", "toolu_2")], **OFFERED), ("AAA", "BBB"),
        check=_ids_told_apart),
    Row("history: results in another order", talk("ASKED", [use("toolu_1"), use("toolu_2")],
        [result("SECONDRESULT", "toolu_2"), result("FIRSTRESULT", "toolu_1")], **OFFERED), check=_ids_told_apart),
    Row("history: a result is missing", talk("ASKED", [use("toolu_1"), use("toolu_2")],
        [result("RESULT", "toolu_1"), text("AFTER")], **OFFERED), ("RESULT", "AFTER"), faulty="toolu_2"),
    Row("history: no result at all", talk("ASKED", [text("SAID"), use()], "AFTER", **OFFERED), ("SAID", "AFTER"),
        faulty="toolu_01A"),
    Row("history: a result without a call", talk("ASKED", "SAID", [result(), text("AFTER")], **OFFERED), ("AFTER",),
        faulty="toolu_01A"),
    Row("history: an id again", talk("ASKED", [use("call_0")], [result("FIRSTRESULT", "call_0")], [use("call_0")],
        [result("SECONDRESULT", "call_0")], **OFFERED), check=_ids_told_apart),
    Row("history: Kimi's id again", talk("ASKED", [use("functions.Read:0")],
        [result("FIRSTRESULT", "functions.Read:0")], [use("functions.Read:0")],
        [result("SECONDRESULT", "functions.Read:0")], **OFFERED), check=_ids_told_apart),
    Row("history: a long id", talk("ASKED", [use("chatcmpl-tool-" + "a" * 32)],
        [result("RESULT", "chatcmpl-tool-" + "a" * 32)], **OFFERED), ("RESULT",)),
    Row("history: long ids with one beginning", talk("ASKED", [use("x" * 64 + "1"), use("x" * 64 + "2")],
        [result("FIRSTRESULT", "x" * 64 + "1"), result("SECONDRESULT", "x" * 64 + "2")], **OFFERED),
        check=_ids_told_apart),
    Row("history: an error", talk("ASKED", [use()], [result(is_error=True)], **OFFERED), ("RESULT",)),
    Row("history: an empty result", talk("ASKED", [use()], [result("")], **OFFERED), ("CALLED",)),
    Row("history: an empty error", talk("ASKED", [use()], [result("", is_error=True)], **OFFERED), ("CALLED",)),
    Row("history: a result of nothing", talk("ASKED", [use()], [{"type": "tool_result", "tool_use_id": "toolu_01A"}],
        **OFFERED), ("CALLED",)),
    Row("history: a result of an empty list", talk("ASKED", [use()], [result([])], **OFFERED), ("CALLED",)),
    Row("history: a result of blocks", talk("ASKED", [use()], [result([text("ONE"), text("TWO")])], **OFFERED),
        ("ONE", "TWO")),
    Row("history: a call of nothing", talk("ASKED", [{**use(), "input": {}}], [result()], **OFFERED), ("RESULT",)),
    Row("history: a call with a text as input", talk("ASKED", [{**use(), "input": "CALLED"}], [result()], **OFFERED),
        ("RESULT",), faulty="input"),
    Row("history: a tool that is offered no more", talk("ASKED", [use(name="Gone")], [result()], **OFFERED),
        ("RESULT",)),
    Row("history: no tools are offered", talk(*ROUND), ("CALLED", "RESULT")),
    Row("history: no tools are offered, then words", talk(*ROUND, "SAID", "AFTER"), ("RESULT", "AFTER")),
    Row("history: ten rounds", talk("ASKED", *(each for i in range(10) for each in (
        [use(f"toolu_{i}")], [result(f"RESULT{i}", f"toolu_{i}")])), **OFFERED), ("RESULT0", "RESULT9")),
    Row("history: a long name", talk("ASKED", [use(name="mcp__server__" + "x" * 70)], [result()],
        tools=[{**READ, "name": "mcp__server__" + "x" * 70}]), ("mcp__server__", "RESULT")),
    Row("history: thinking", talk("ASKED", [SIGNED, text("SAID")], "MORE"), ("SAID",), ("THOUGHT",)),
    Row("history: thinking before a call", talk("ASKED", [SIGNED, REDACTED, use()], [result()], **OFFERED),
        ("CALLED", "RESULT"), ("THOUGHT", "SEALED")),
    Row("history: nothing but thinking", talk("ASKED", [SIGNED], "MORE"), ("ASKED", "MORE"), ("THOUGHT",)),
    Row("history: thinking goes on", talk("ASKED", [SIGNED, use()], [result()], **OFFERED,
        thinking={"type": "enabled", "budget_tokens": 2000}), ("CALLED", "RESULT"), ("THOUGHT",)),
    Row("history: thinking without a signature", talk("ASKED", [{**SIGNED, "signature": ""}, use()], [result()],
        **OFFERED), ("CALLED", "RESULT")),
    Row("history: caller of a call", talk("ASKED", [{**use(), "caller": {"type": "direct"}, **MARK}],
        [result(**MARK)], **OFFERED), ("CALLED", "RESULT"), ("caller", "cache_control")),
)  # fmt: skip

ROWS = (*SYSTEM, *TURNS, *PICTURES, *DOCUMENTS, *SERVER_TOOLS, *HISTORY)
