from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.pdf import (
    BROKEN,
    NO_TEXT,
    TOO_LONG,
    Pdf,
    pdf_data,
    pdf_words,
    pdfs_in,
)
from tests.linear import assert_linear

Json = dict[str, Any]

NOTHING = "of which this model can see nothing"
WORDS: dict[str, tuple[str, Pdf, str]] = {
    "text": ("R", Pdf(2, "", ("one", "two")),
             "[R: a PDF of 2 pages, its text]\n[page 1]\none\n[page 2]\ntwo\n[end of R]"),
    "its own title": ("", Pdf(1, "Own", ("a",)), "[Own: a PDF of 1 page, its text]\n[page 1]\na\n[end of Own]"),
    "no title": ("", Pdf(1, "", ("a",)),
                 "[document: a PDF of 1 page, its text]\n[page 1]\na\n[end of document]"),
    "a picture within": ("R", Pdf(3, "", ("a", "", "c")),
                         "[R: a PDF of 3 pages, its text]\n[page 1]\na\n[page 3]\nc\n"
                         "[1 page without text: pictures, perhaps]\n[end of R]"),
    "a broken page": ("R", Pdf(2, "", ("a", ""), BROKEN),
                      "[R: a PDF of 2 pages, its text]\n[page 1]\na\n"
                      "[1 page without text: it is broken]\n[end of R]"),
    "too long": ("R", Pdf(9, "", ("a", "b"), TOO_LONG),
                 "[R: a PDF of 9 pages, its text]\n[page 1]\na\n[page 2]\nb\n"
                 "[what follows, pages 3 to 9, is left out: its text is too long]\n[end of R]"),
    "scanned": ("R", Pdf(12, "", ("",) * 12), f"[R: a PDF of 12 pages, {NOTHING}: {NO_TEXT}]"),
    "broken": ("R", Pdf(why=BROKEN), f"[R: a PDF, {NOTHING}: it is broken]"),
    "ended on its first page": ("R", Pdf(3, why=BROKEN), f"[R: a PDF of 3 pages, {NOTHING}: it is broken]"),
}  # fmt: skip


@pytest.mark.parametrize(("title", "pdf", "words"), WORDS.values(), ids=WORDS)
def test_what_is_told_of_a_pdf(title: str, pdf: Pdf, words: str) -> None:
    assert pdf_words(title, pdf) == words


def pdf_of(data: object, **more: object) -> Json:
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return {"type": "document", "source": source | more}


def user(*content: object) -> Json:
    return {"messages": [{"role": "user", "content": list(content)}]}


IN_A_RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [pdf_of("a")]}
FETCHED = {
    "type": "web_fetch_tool_result",
    "content": {"type": "web_fetch_result", "url": "u", "content": pdf_of("a")},
}
IN_A_DOCUMENT = {"type": "document", "source": {"type": "content", "content": [pdf_of("a")]}}
FINDS: dict[str, tuple[Json, list[str]]] = {
    "in a message": (user(pdf_of("a"), pdf_of("b")), ["a", "b"]),
    "twice the same": (user(pdf_of("a"), pdf_of("b"), pdf_of("a")), ["a", "b"]),
    "in a tool's result": (user(IN_A_RESULT), ["a"]),
    "in what was fetched": (user(FETCHED), ["a"]),
    "in a document of blocks": (user(IN_A_DOCUMENT), ["a"]),
    "no media type": (user(pdf_of("a", media_type=None)), ["a"]),
    "another media type": (user(pdf_of("a", media_type="text/plain")), []),
    "text": (user(pdf_of("a", type="text")), []),
    "empty": (user(pdf_of("")), []),
    "no text": (user(pdf_of(7)), []),
    "no source": (user({"type": "document", "source": "a"}), []),
    "no messages": ({"messages": 7}, []),
    "nothing": ({}, []),
}


@pytest.mark.parametrize(("request_", "found"), FINDS.values(), ids=FINDS)
def test_which_pdfs_are_in_a_request(request_: Json, found: list[str]) -> None:
    assert pdfs_in(request_) == found


def test_depth_is_no_trouble() -> None:
    deep: Json = pdf_of("a")
    for _ in range(100_000):
        deep = {"type": "tool_result", "content": [deep]}
    assert pdfs_in(user(deep)) == ["a"]


def test_finding_them_is_linear() -> None:
    assert_linear(pdfs_in, lambda n: user(*(pdf_of(str(i)) for i in range(n // 10))))


def test_telling_of_one_is_linear() -> None:
    assert_linear(lambda pdf: pdf_words("", pdf), lambda n: Pdf(n, "", ("a",) * n))


def test_only_a_document_has_the_data_of_a_pdf() -> None:
    assert pdf_data({**pdf_of("a"), "type": "image"}) is None
