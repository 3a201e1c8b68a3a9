from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.adapt.anthropics import SILENT, words_for
from neurolink_mitm.core.providers.pdf import Pdf
from tests.core.providers.adapt.requests import PDF, Json, block_of
from tests.linear import assert_linear


def result(kind: str, content: Any, **more: Any) -> Json:
    return {"type": f"{kind}_tool_result", "tool_use_id": "srvtoolu_1", "content": content, **more}


def fetched(document: Any) -> Json:
    page = {"type": "web_fetch_result", "url": "https://x.test/", "content": document}
    return result("web_fetch", page)


def failed(kind: str) -> Json:
    return result(kind, {"type": f"{kind}_tool_result_error", "error_code": "unavailable"})


PAGE = {"type": "document", "title": "T", "source": {"type": "text", "data": "words"}}
RAN = {
    "type": "code_execution_result",
    "stdout": "out",
    "stderr": "",
    "return_code": 0,
    "content": [],
}
HIT = {"type": "web_search_result", "title": "T", "url": "u", "encrypted_content": "SEALED"}
WORDS: dict[str, tuple[Json, str]] = {
    "a call": (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "ü", "n": None}},
        '[web_search: {"query":"ü","n":null}]'),
    "a call of a server": (
        {"type": "mcp_tool_use", "id": "m", "server_name": "tickets", "name": "find", "input": {"a": 1}},
        '[tickets: find: {"a":1}]'),
    "its result": (result("mcp", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "[result]\na\nb"),
    "its result as a string": (result("mcp", "a", is_error=False), "[result]\na"),
    "its failure": (result("mcp", "boom", is_error=True), "[the tool failed]\nboom"),
    "no result": (result("mcp", None), "[result]"),
    "its tools": ({"type": "mcp_tool_listing", "mcp_server_name": "tickets", "tools": [{"name": "find"}]},
                  "[the server tickets has tools that this model can't use]"),
    "a tool": ({"type": "tool_reference", "tool_name": "ls"}, "[the tool ls can be used]"),
    "found": (result("web_search", [HIT, {"title": "no address"}, 7]), "[found]\nT: u"),
    "nothing found": (result("web_search", []), "[found]"),
    "a search that failed": (failed("web_search"), "[it failed: unavailable]"),
    "fetched": (fetched(PAGE), "[fetched from https://x.test/]\n[T]\nwords"),
    "a PDF fetched": (fetched(PDF), "[fetched from https://x.test/]\n"
                      "[document: a PDF of 1 page, its text]\n[page 1]\none\n[end of document]"),
    "not fetched": (failed("web_fetch"), "[it failed: unavailable]"),
    "run": (result("code_execution", RAN), "[output]\nout"),
    "run in vain": (result("bash_code_execution", {**RAN, "stderr": "err", "return_code": 2}),
                    "[output]\nout\n[errors]\nerr\n[exit code 2]"),
    "run, with files": (result("code_execution", {**RAN, "content": [{"file_id": "f"}]}),
                        "[output]\nout\n[files made: 1]"),
    "run in secret": (
        result("code_execution", {"encrypted_stdout": "SEALED", "stderr": "", "return_code": 0, "content": []}),
        "[output]\n[its output is encrypted for Anthropic]"),
    "not run": (failed("bash_code_execution"), "[it failed: unavailable]"),
    "viewed": (result("text_editor_code_execution", {"file_type": "text", "content": "lines"}), "[the file]\nlines"),
    "made": (result("text_editor_code_execution", {"is_file_update": False}), "[the file was made]"),
    "overwritten": (result("text_editor_code_execution", {"is_file_update": True}), "[the file was changed]"),
    "edited": (result("text_editor_code_execution", {"lines": ["-a", "+b"]}), "[edited]\n-a\n+b"),
    "not edited": (
        result("text_editor_code_execution", {"error_code": "file_not_found", "error_message": "no a.txt"}),
        "[it failed: file_not_found, no a.txt]"),
    "tools found": (
        result("tool_search", {"tool_references": [{"tool_name": "a"}, {"tool_name": "b"}]}),
        "[tools that can be used: a, b]"),
    "no tools found": (result("tool_search", {"tool_references": []}), "[tools that can be used: none]"),
    "a search's result": (
        {"type": "search_result", "title": "T", "source": "u", "content": [{"type": "text", "text": "a"}],
         "citations": {"enabled": True}},
        "[T: u]\na"),
    "uploaded": ({"type": "container_upload", "file_id": "f"},
                 "[a file in Anthropic's container, which this model can't see]"),
    "a summary": ({"type": "compaction", "content": "so far", "encrypted_content": "SEALED", "signature": "SEALED"},
                  "[what was said before]\nso far"),
    "no summary": ({"type": "compaction", "content": None}, ""),
    "advice": (result("advisor", {"type": "advisor_result", "text": "do"}), "[advisor_tool_result]\ndo"),
    "sealed advice": (result("advisor", {"encrypted_content": "SEALED"}), "[advisor_tool_result]"),
    "tomorrow's": ({"type": "hologram", "id": "h", "title": "T", "parts": [{"caption": "a"}, "b", 7],
                    "data": "SEALED", "cache_control": {"ttl": "5m"}}, "[hologram]\nT\na\nb"),
    "data in a new form": ({"type": "hologram", "shape": "QUFB" * 200}, "[hologram]"),
    "no type": ({"words": "a"}, "[None]\na"),
}  # fmt: skip


@pytest.mark.parametrize(("block", "words"), WORDS.values(), ids=WORDS)
def test_what_stands_for_a_block(block: Json, words: str) -> None:
    assert words_for(block, {"eA==": Pdf(1, "", ("one",))}) == words


@pytest.mark.parametrize("kind", sorted(SILENT))
def test_what_says_nothing_to_others(kind: str) -> None:
    assert words_for({"type": kind, "thinking": "hm", "data": "x"}, {}) == ""


SECRETS = ("authorization_token", "authorization", "token", "api_key", "client_secret", "password")


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_taken_for_words(name: str) -> None:
    block = {
        "type": "mcp_server_use",
        "server": {"url": "u", name: "SECRET"},
        "headers": {name: ["SECRET"]},
    }
    assert "SECRET" not in words_for(block, {})


NAMES = st.sampled_from(
    ("content", "source", "tool_references", "lines", "stdout", "url", "error_code", "text")
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
KINDS = sorted({block["type"] for block, _ in WORDS.values() if "type" in block})


@given(st.sampled_from(KINDS), st.dictionaries(NAMES, anything, max_size=5))
def test_whatever_is_in_a_block_becomes_words_or_a_refusal(kind: str, more: Json) -> None:
    """Of the refusals that `adapt` knows; which all others' faults are."""
    try:
        words = words_for({**more, "type": kind}, {})
    except (AttributeError, KeyError, TypeError):
        return
    assert isinstance(words, str)


def test_depth_is_no_trouble() -> None:
    deep: Any = "a"
    for _ in range(500):
        deep = {"content": [deep]}
    assert words_for({"type": "hologram", "content": deep}, {}) == "[hologram]"


def test_an_unknown_block_is_passed_over_once() -> None:
    assert_linear(
        lambda block: words_for(block, {}),
        lambda n: {
            "type": "hologram",
            "parts": [{"a_token_of": "b", "c" * 50: "d" * 99}] * (n // 150),
        },
    )


def test_it_becomes_a_block_of_text() -> None:
    assert block_of({"type": "compaction", "content": "so far"}) == [
        {"type": "text", "text": "[what was said before]\nso far"}
    ]
    assert block_of({"type": "fallback"}) == []
