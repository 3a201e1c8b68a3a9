"""Says in words what is in a PDF, for models that take none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BROKEN = "it is broken"
ENCRYPTED = "it is encrypted"
TOO_LONG = "its text is too long"
TOO_LARGE = "it is too large to be read here"
TOO_SLOW = "it takes too long to read"
NO_TEXT = "its pages have no text: they are pictures, perhaps of scanned paper"
NOT_READ = "it could not be read"

PDF_TYPE = "application/pdf"
FETCHED = "web_fetch_tool_result"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pdf:
    """What could be read of a PDF."""

    pages: int = 0
    """Their number; 0 if unknown."""
    title: str = ""
    """The title in the file, for a document that is sent without one."""
    texts: tuple[str, ...] = ()
    """The text of each page up to the last that was read; empty for a page without text."""
    why: str = ""
    """Why there is no text of pages; empty if there was no trouble."""

    @property
    def size(self) -> int:
        """Return the characters of text."""
        return sum(map(len, self.texts))


UNREAD = Pdf(why=NOT_READ)
"""Stands for a PDF that nobody has tried to read."""


def pdf_words(title: str, pdf: Pdf) -> str:
    """Return the text of `pdf`, page by page, or words in its place that name its title, its pages and why."""
    name = title or pdf.title or "document"
    kind = f"a PDF of {_pages(pdf.pages)}" if pdf.pages else "a PDF"
    if not any(pdf.texts):
        why = pdf.why or NO_TEXT
        return f"[{name}: {kind}, of which this model can see nothing: {why}]"
    return "\n".join((f"[{name}: {kind}, its text]", *_body(pdf), f"[end of {name}]"))


def _body(pdf: Pdf) -> Iterator[str]:
    for number, text in enumerate(pdf.texts, 1):
        if text:
            yield f"[page {number}]\n{text}"
    blank = sum(1 for text in pdf.texts if not text)
    if blank:
        yield f"[{_pages(blank)} without text: {pdf.why or 'pictures, perhaps'}]"
    if len(pdf.texts) < pdf.pages:
        rest = f"{len(pdf.texts) + 1} to {pdf.pages}"
        yield f"[what follows, pages {rest}, is left out: {pdf.why or NOT_READ}]"


def _pages(number: int) -> str:
    return "1 page" if number == 1 else f"{number} pages"


def pdfs_in(request: Json, *, fetched: bool = False) -> list[str]:
    """Return the base64 of each PDF in the messages of `request`, once, also of those within tool results.

    `fetched`: only of those that Anthropic has fetched from the web, which become text for every other model.
    """
    found: dict[str, None] = {}
    rest: list[tuple[Any, bool]] = [(request.get("messages"), not fetched)]
    while rest:
        value, wanted = rest.pop()
        if isinstance(value, list):
            rest.extend((each, wanted) for each in reversed(value))
        elif isinstance(value, dict):
            wanted = wanted or value.get("type") == FETCHED
            if wanted and (data := pdf_data(value)):
                found[data] = None
            rest.extend((value.get(name), wanted) for name in ("source", "content"))
    return list(found)


def pdf_data(block: Json) -> str | None:
    """Return the base64 of the PDF in a `document` block; None if there is none in it."""
    source = block.get("source")
    if block.get("type") != "document" or not isinstance(source, dict):
        return None
    data = source.get("data")
    is_pdf = source.get("type") == "base64" and source.get("media_type") in (None, PDF_TYPE)
    return data if is_pdf and isinstance(data, str) and data else None
