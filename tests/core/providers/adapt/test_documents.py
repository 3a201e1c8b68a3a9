from __future__ import annotations

import base64
from typing import Any

import pytest

from neurolink_mitm.core.providers.adapt.documents import UNSEEN_IMAGE, document_words
from neurolink_mitm.core.providers.pdf import NOT_READ, Pdf
from tests.core.providers.adapt.requests import IMAGE, LINKED, PDF, Json, block_of, result_of

READ = {"eA==": Pdf(2, "Own", ("one", "two"))}
TEXT_OF_IT = "[T: a PDF of 2 pages, its text]\n[page 1]\none\n[page 2]\ntwo\n[end of T]"


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def of(source: Any, **more: Any) -> Json:
    return {"type": "document", "source": source, "title": "T", **more}


LETTER = of({"type": "text", "media_type": "text/plain", "data": "words"})
TO_URL = of({"type": "url", "url": "https://x.test/a.pdf"})
IN_BLOCKS = of({"type": "content", "content": [text("a"), IMAGE, text("b")]}, context="about")


def test_a_pdf_goes_to_who_takes_it() -> None:
    assert block_of({**PDF, "title": "T", "citations": {"enabled": True}}) == [PDF]


def test_its_type_is_named() -> None:
    assert block_of(of({"type": "base64", "data": "eA=="})) == [PDF]


def test_what_is_said_of_it_goes_before_it() -> None:
    assert block_of({**PDF, "title": "T", "context": "about"}) == [text("[T]\n[about]"), PDF]


def test_to_others_its_text_goes() -> None:
    assert block_of({**PDF, "title": "T"}, READ, documents=False) == [text(TEXT_OF_IT)]
    (said,) = block_of({**PDF, "title": "T", "context": "about"}, READ, documents=False)
    assert said == text(f"[T]\n[about]\n{TEXT_OF_IT}")


def test_in_a_tools_result_as_well() -> None:
    (result,) = block_of(
        {"type": "tool_result", "tool_use_id": "t1", "content": [text("Read:"), {**PDF, "title": "T"}]},
        READ, documents=False,
    )  # fmt: skip
    assert result["content"] == f"Read:\n{TEXT_OF_IT}"
    assert result_of([PDF]) == [PDF]


def test_one_that_nobody_has_read_is_named() -> None:
    (said,) = block_of(PDF, documents=False)
    assert NOT_READ in said["text"]


def test_one_at_an_address_goes_to_who_fetches_it_himself() -> None:
    linked = {"type": "document", "source": TO_URL["source"]}
    assert block_of(TO_URL, api="responses") == [linked]
    (said,) = block_of(TO_URL, api="responses", links=False)
    assert "https://x.test/a.pdf" in said["text"]
    assert block_of(TO_URL) == [said], "OpenAI's chat API has no field for it"
    assert block_of(TO_URL, documents=False) == [said]


def test_a_document_of_blocks_is_these_blocks() -> None:
    assert block_of(IN_BLOCKS) == [text("[T]\n[about]"), text("a"), IMAGE, text("b")]
    assert block_of(IN_BLOCKS, images=False)[2] == text(UNSEEN_IMAGE)


WORDS: dict[str, tuple[Json, str]] = {
    "text": (LETTER, "[T]\nwords"),
    "text with context": ({**LETTER, "context": "about"}, "[T]\n[about]\nwords"),
    "no title": ({**LETTER, "title": None}, "[document]\nwords"),
    "a string": (of({"type": "content", "content": "words"}), "[T]\nwords"),
    "blocks": (of({"type": "content", "content": [text("a"), IMAGE]}), "[T]\na\n[image]"),
    "no blocks": (of({"type": "content"}), "[T]\n"),
    "text in base64": (of({"type": "base64", "media_type": "text/csv",
                           "data": base64.b64encode(b"a,\xff").decode()}), "[T]\na,\ufffd"),
    "broken base64": (of({"type": "base64", "media_type": "text/csv", "data": "a"}),
                      "[T]\n[its data are broken]"),
    "another type": (of({"type": "base64", "media_type": "application/zip", "data": "eA=="}),
                     "[T]\n[a document of the type application/zip, which this model can't read]"),
    "a file": (of({"type": "file", "file_id": "file_1"}),
               "[T]\n[the document is kept at Anthropic, where this model can't read it]"),
    "no source": (of(None), "[T]\n[no document]"),
    "a source that is none": (of("x"), "[T]\n[no document]"),
    "no data": (of({"type": "text"}), "[T]\n[no document]"),
}  # fmt: skip


@pytest.mark.parametrize(("block", "words"), WORDS.values(), ids=WORDS)
def test_what_stands_for_a_document(block: Json, words: str) -> None:
    assert document_words(block, {}) == words


def test_an_image_by_its_address_is_named_where_it_would_have_to_be_fetched() -> None:
    assert block_of(LINKED) == [LINKED]
    assert block_of(LINKED, links=False) == [text("[image: https://x.test/a.png]")]


@pytest.mark.parametrize(
    "source",
    [{"type": "file", "file_id": "f"}, {"type": "base64", "data": "eA=="}, {"type": "base64"},
     {"type": "base64", "media_type": "image/png", "data": 7}, {}, None, "x"],
    ids=["a file", "no type", "no data", "a number", "nothing", "none", "a string"],
)  # fmt: skip
def test_an_image_that_nobody_gets_is_a_word(source: Any) -> None:
    (said,) = block_of({"type": "image", "source": source})
    assert said["type"] == "text"
    assert "an image" in said["text"]


def test_so_is_one_of_a_form_that_the_provider_refuses() -> None:
    source = {"type": "base64", "media_type": "image/gif", "data": "eA=="}
    block = {"type": "image", "source": source}
    assert block_of(block) == [block]
    assert block_of(block, refused_images=("image/gif",)) == [
        text("[an image of a form that this model can't see: image/gif]")
    ]
