"""Says in words what the blocks hold that only Anthropic's API makes: its own tools, searches, summaries.

What is encrypted for Anthropic is left out. A block of a type that is not known here becomes the words in it.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from neurolink_mitm.core.providers.adapt.documents import document_words
from neurolink_mitm.core.providers.adapt.form import Json, members
from neurolink_mitm.core.providers.pdf import Pdf

Words = Callable[[Json, Mapping[str, Pdf]], str]

SILENT = frozenset({"redacted_thinking", "thinking", "fallback"})
"""Blocks that say nothing to anyone but their author."""
DEEPEST = 20
"""Levels of a block that are looked through for words."""


def words_for(block: Json, pdfs: Mapping[str, Pdf]) -> str:
    """Return the text that stands for `block`; empty if nothing does. `pdfs` has what is in PDFs, by base64."""
    kind = block.get("type")
    if kind in SILENT:
        return ""
    return _WORDS.get(str(kind), _unknown)(block, pdfs)


def _call(block: Json, _: Mapping[str, Pdf]) -> str:
    server = f"{block['server_name']}: " if block.get("server_name") else ""
    return f"[{server}{block.get('name')}: {_json(block.get('input'))}]"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _tool(block: Json, _: Mapping[str, Pdf]) -> str:
    return f"[the tool {block.get('tool_name')} can be used]"


def _searched(block: Json, _: Mapping[str, Pdf]) -> str:
    """Return titles and addresses of a web search: the rest is encrypted."""
    content = block.get("content")
    if failed := _failure(content):
        return failed
    hits = [hit for hit in content if isinstance(hit, dict)] if isinstance(content, list) else []
    lines = (f"{hit.get('title')}: {hit.get('url')}" for hit in hits if hit.get("url"))
    return "\n".join(("[found]", *lines))


def _fetched(block: Json, pdfs: Mapping[str, Pdf]) -> str:
    content = members(block.get("content"))
    if failed := _failure(content):
        return failed
    words = document_words(members(content.get("content")), pdfs)
    return f"[fetched from {content.get('url')}]\n{words}"


def _ran(block: Json, _: Mapping[str, Pdf]) -> str:
    """Return what a program has written, and its exit code."""
    content = members(block.get("content"))
    if failed := _failure(content):
        return failed
    hidden = "encrypted_stdout" in content
    output = "[its output is encrypted for Anthropic]" if hidden else content.get("stdout")
    errors = f"[errors]\n{content['stderr']}" if content.get("stderr") else ""
    code = f"[exit code {content['return_code']}]" if content.get("return_code") else ""
    made = content.get("content")
    files = f"[files made: {len(made)}]" if isinstance(made, list) and made else ""
    return "\n".join(each for each in ("[output]", output, errors, code, files) if each)


def _edited(block: Json, _: Mapping[str, Pdf]) -> str:
    content = members(block.get("content"))
    if failed := _failure(content):
        return failed
    if isinstance(lines := content.get("lines"), list):
        return "\n".join(("[edited]", *map(str, lines)))
    if "is_file_update" in content:
        return "[the file was changed]" if content["is_file_update"] else "[the file was made]"
    return f"[the file]\n{content.get('content') or ''}"


def _tools_found(block: Json, _: Mapping[str, Pdf]) -> str:
    content = members(block.get("content"))
    if failed := _failure(content):
        return failed
    found = content.get("tool_references")
    names = [str(members(each).get("tool_name")) for each in found or ()]
    return f"[tools that can be used: {', '.join(names) or 'none'}]"


def _mcp_result(block: Json, _: Mapping[str, Pdf]) -> str:
    head = "[the tool failed]" if block.get("is_error") else "[result]"
    return "\n".join((head, *_said(block.get("content"))))


def _search_result(block: Json, _: Mapping[str, Pdf]) -> str:
    head = f"[{block.get('title') or 'found'}: {block.get('source')}]"
    return "\n".join((head, *_said(block.get("content"))))


def _listed(block: Json, _: Mapping[str, Pdf]) -> str:
    return f"[the server {block.get('mcp_server_name')} has tools that this model can't use]"


def _uploaded(block: Json, _: Mapping[str, Pdf]) -> str:
    return "[a file in Anthropic's container, which this model can't see]"


def _summary(block: Json, _: Mapping[str, Pdf]) -> str:
    content = block.get("content")
    return f"[what was said before]\n{content}" if content else ""


def _failure(content: Any) -> str:
    """Return what went wrong, by an error's code; empty if nothing did."""
    error = members(content)
    code = error.get("error_code")
    message = f", {error['error_message']}" if error.get("error_message") else ""
    return f"[it failed: {code}{message}]" if code else ""


_WORDS: Mapping[str, Words] = {
    "server_tool_use": _call,
    "mcp_tool_use": _call,
    "tool_reference": _tool,
    "web_search_tool_result": _searched,
    "web_fetch_tool_result": _fetched,
    "code_execution_tool_result": _ran,
    "bash_code_execution_tool_result": _ran,
    "text_editor_code_execution_tool_result": _edited,
    "tool_search_tool_result": _tools_found,
    "mcp_tool_result": _mcp_result,
    "mcp_tool_listing": _listed,
    "search_result": _search_result,
    "container_upload": _uploaded,
    "compaction": _summary,
}


_NO_WORDS = re.compile(
    "type|(.*_)?id|data|signature|encrypted.*|caller|cache_control|(.*_)?key|.*(token|authorization|secret|password).*",
    re.IGNORECASE,
)
"""Members whose values are no words, or nobody else's business."""
_DATA = re.compile("[A-Za-z0-9+/=_-]{500,}")
"""What is no text but data, by its form: base64."""


def _unknown(block: Json, _: Mapping[str, Pdf]) -> str:
    """Return the words in a block of an unknown type, whichever members hold them."""
    return "\n".join((f"[{block.get('type')}]", *_said(block)))


def _said(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the words in `value`, in their order."""
    if isinstance(value, str) and value and not _DATA.fullmatch(value):
        yield value
    elif isinstance(value, list) and depth < DEEPEST:
        for each in value:
            yield from _said(each, depth + 1)
    elif isinstance(value, dict) and depth < DEEPEST:
        for name, each in value.items():
            if not _NO_WORDS.fullmatch(name):
                yield from _said(each, depth + 1)
