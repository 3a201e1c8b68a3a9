from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.shaping.detectors import finders
from neurolink_mitm.core.shaping.outgoing import OutgoingRequest, RefusedError
from neurolink_mitm.core.shaping.pipeline import Chain
from neurolink_mitm.core.shaping.restoring import FORM, Placeholders
from neurolink_mitm.core.shaping.word_obfuscator import WordObfuscator
from tests.core.shaping.drafts import draft
from tests.core.shaping.test_restoring import CUTS, delta, split, stop
from tests.core.shaping.test_restoring import said as told

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def obfuscator(*words: str, **lists: Any) -> WordObfuscator:
    given = {"patterns": [], "kinds": ["email", "ipv4", "ipv6", "key"], "domains": [], **lists}
    return WordObfuscator(b"key", finders(words=words, **given))


BLUEBIRD = obfuscator("bluebird")
OURS = Placeholders(b"key").make("WORD", "bluebird")


def asking(text: str, **more: Any) -> OutgoingRequest:
    return draft({"model": "m", "messages": [{"role": "user", "content": text}], **more})


def text_in(sent: OutgoingRequest) -> str:
    text = json.loads(sent.body)["messages"][0]["content"]
    assert isinstance(text, str)
    return text


def restored(sent: OutgoingRequest, text: str) -> Any:
    """What the client gets of an answer that says this."""
    if not sent.undo:
        return text
    editor = sent.undo[0](False)
    return json.loads(editor.feed(json.dumps([text]).encode()) + editor.end())[0]


@given(
    TEXT,
    st.lists(st.text('abNL_W é😀\\"\n', min_size=1, max_size=4), min_size=1, max_size=4),
    st.booleans(),
)
def test_what_was_replaced_comes_back(text: str, words: list[str], ascii_only: bool) -> None:
    said = text + "".join(words) + text
    body = json.dumps({"messages": [{"content": said}]}, ensure_ascii=ascii_only).encode()
    sent = obfuscator(*words).rewrite(draft(body))
    assert restored(sent, text_in(sent)) == said


@given(
    st.lists(TEXT | st.sampled_from(["bluebird", OURS, OURS[:-1], "NL_", "bob@corp.example"])),
    st.lists(st.text('abNL_W é😀\\"\n', min_size=1, max_size=4), max_size=3),
    CUTS,
    CUTS,
)
def test_what_was_replaced_comes_back_however_the_stream_is_cut(
    said: list[str], words: list[str], deltas: list[int], chunks: list[int]
) -> None:
    """As text, and in the input of a tool; what looks like a placeholder is what the user wrote."""
    clear = "".join((*said, *words, *said))
    sent = obfuscator("bluebird", *words).rewrite(asking(clear))
    seen = text_in(sent)
    stream = b"".join(delta(text=each) for each in split(seen, deltas)) + stop()
    stream += b"".join(
        delta(1, "input_json_delta", partial_json=each)
        for each in split(json.dumps({"in": seen}), deltas)
    )
    answer = in_pieces(sent, split(stream + stop(1), chunks))
    assert told(answer) == clear
    assert json.loads(told(answer, "partial_json")) == {"in": clear}


def in_pieces(sent: OutgoingRequest, chunks: list[bytes]) -> bytes:
    chain = Chain.of(sent.undo, stream=True)
    return b"".join(map(chain.feed, chunks)) + chain.end()


@given(TEXT, TEXT, st.sampled_from(["bluebird", "BlueBird", "bob@corp.example", "10.1.2.3"]))
def test_nothing_of_it_is_left_and_all_other_bytes_stay(
    before: str, behind: str, word: str
) -> None:
    clear = f"{before} {word} {behind}"
    plain = asking(clear)
    sent = BLUEBIRD.rewrite(plain)
    assert word.encode() not in sent.body
    assert FORM.search(text_in(sent))
    known = json.dumps(clear).encode()
    assert sent.body.replace(json.dumps(text_in(sent)).encode(), known) == plain.body


def test_a_word_written_with_escapes_is_found() -> None:
    sent = BLUEBIRD.rewrite(draft(rb'{"messages":[{"content":"a\n\u0062luebird\n"}]}'))
    assert "luebird" not in text_in(sent)
    assert text_in(sent).startswith("a\nNL_WORD_")


def embedding(texts: object) -> OutgoingRequest:
    return draft({"model": "bluebird", "input": texts}, kind=Kind.EMBEDDINGS)


@pytest.mark.parametrize("texts", ["the bluebird", ["x", "the bluebird"]], ids=["a text", "texts"])
def test_words_are_hidden_in_what_is_embedded(texts: object) -> None:
    sent = json.loads(BLUEBIRD.rewrite(embedding(texts)).body)
    assert sent["model"] == "bluebird"
    assert sent["input"] == json.loads(json.dumps(texts).replace("bluebird", OURS))


@pytest.mark.parametrize("ids", [[1, 2], [[1], [2]]], ids=["token ids", "lists of them"])
def test_token_ids_can_not_be_looked_through(ids: object) -> None:
    with pytest.raises(RefusedError, match="token ids"):
        BLUEBIRD.rewrite(embedding(ids))
    assert BLUEBIRD.rewrite(embedding(["1"]))


def test_with_nothing_to_replace_it_is_the_same_draft() -> None:
    before = asking("nothing here")
    assert BLUEBIRD.rewrite(before) is before


def test_a_placeholder_in_the_users_own_text_is_not_mistaken() -> None:
    placeholder = text_in(BLUEBIRD.rewrite(asking("bluebird")))
    said = f"bluebird and {placeholder}"
    sent = BLUEBIRD.rewrite(asking(said))
    assert placeholder in text_in(sent)
    assert restored(sent, text_in(sent)) == said


def test_each_turn_begins_with_the_bytes_of_the_last() -> None:
    turn = {"role": "user", "content": "bluebird"}
    answer = {"role": "assistant", "content": "I see bluebird"}
    first = BLUEBIRD.rewrite(draft({"messages": [turn]})).body
    second = obfuscator("bluebird").rewrite(draft({"messages": [turn, answer]})).body
    assert second.startswith(first.removesuffix(b"]}"))
    assert b"bluebird" not in second


def test_signed_thinking_goes_back_as_it_came() -> None:
    thought = {
        "type": "thinking",
        "thinking": "NL_WORD_0123456789ab bluebird",
        "signature": "bluebird",
    }
    before = draft({"messages": [{"role": "assistant", "content": [thought]}]})
    assert BLUEBIRD.rewrite(before) is before


def test_names_in_the_input_of_tools_are_words_too() -> None:
    use = {
        "type": "tool_use",
        "id": "t",
        "name": "bluebird",
        "input": {"bluebird": {"type": "bluebird"}},
    }
    sent = BLUEBIRD.rewrite(
        draft({"messages": [{"content": [use]}], "tools": [{"name": "bluebird"}]})
    )
    assert b"bluebird" not in sent.body
    assert sent.counts == {"word": 4}


def test_what_is_counted_is_told_by_its_kind_and_adds_up() -> None:
    sent = BLUEBIRD.rewrite(asking("bluebird bob@corp.example bluebird"))
    assert sent.counts == {"word": 2, "email": 1}


def test_headers_are_looked_through() -> None:
    fields = {"host": "bluebird", "user-agent": "bluebird/1", "x-bluebird-id": "1", "x-a": "b"}
    sent = BLUEBIRD.rewrite(draft({"messages": []}, fields))
    assert [name for name, _ in sent.fields] == [b"host", b"user-agent", b"x-a"]
    assert FORM.match(sent.fields[1][1].decode())


def test_a_header_with_a_word_in_its_name_goes_where_nothing_else_is_replaced() -> None:
    assert BLUEBIRD.rewrite(draft({"messages": []}, {"x-bluebird-id": "1"})).fields == ()


def test_bytes_of_headers_that_are_no_text_stay() -> None:
    before = OutgoingRequest(draft().about, ((b"x", b"\xff bluebird"),), b"{}")
    [(_, value)] = BLUEBIRD.rewrite(before).fields
    assert value.startswith(b"\xff NL_WORD_")


@pytest.mark.parametrize(
    "body",
    [b"bluebird", b'{"requests":[{"params":{"messages":"\\u0062luebird"}}]}', b"\xff bluebird"],
)
def test_what_could_not_be_taken_back_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="wordObfuscator"):
        BLUEBIRD.rewrite(draft(body, kind=Kind.API))


def test_other_requests_without_a_word_pass() -> None:
    before = draft(b'{"a":"\\n"}', kind=Kind.API)
    assert BLUEBIRD.rewrite(before) is before


@pytest.mark.parametrize("body", [b"{", b'{"a":1,"a":2}', b'{"messages":[{"content":"\xff"}]}'])
def test_what_can_not_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="no JSON"):
        BLUEBIRD.rewrite(draft(body))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (Kind.MESSAGES, "/v1/messages?team=bluebird"),
        (Kind.COUNT_TOKENS, "/v1/messages/count_tokens?a=%62luebird"),
        (Kind.API, "/v1/files/bluebird"),
    ],
)
def test_a_word_in_the_url_is_refused(kind: Kind, target: str) -> None:
    before = draft({"messages": []}, kind=kind)
    with pytest.raises(RefusedError, match="path or query"):
        BLUEBIRD.rewrite(replace(before, about=replace(before.about, target=target)))


def test_what_is_compressed_or_of_two_bytes_a_letter_is_refused() -> None:
    packed = draft(b"\x1f\x8b", {"content-encoding": "gzip"}, kind=Kind.API)
    with pytest.raises(RefusedError, match="compressed"):
        BLUEBIRD.rewrite(packed)
    with pytest.raises(RefusedError, match="wordObfuscator"):
        BLUEBIRD.rewrite(draft("bluebird".encode("utf-16"), kind=Kind.API))


@pytest.mark.parametrize(
    "odd",
    [
        {"cache_control": {"type": "ephemeral", "x": "bluebird"}},
        {"type": "base64", "data": ["bluebird"]},
        {"input_examples": [{"bluebird": 1, "id": "bluebird"}]},
    ],
    ids=["own", "data", "examples"],
)
def test_what_only_looks_like_the_apis_own_is_looked_through(odd: dict[str, Any]) -> None:
    assert b"bluebird" not in BLUEBIRD.rewrite(draft({"messages": [odd]})).body
