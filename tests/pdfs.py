"""PDFs for tests: good ones, and such as are made to hurt their reader."""

from __future__ import annotations

import base64
import io
import os
import zlib
from collections.abc import Callable, Mapping, Sequence

from pypdf import PdfReader, PdfWriter

_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with a line of text a page; a page of `""` has only a drawing."""
    contents = [b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % each.encode("latin-1") if each else b"0 0 9 9 re f"
                for each in pages]  # fmt: skip
    return of_contents([_stream(each) for each in contents], title=title)


def of_contents(contents: Sequence[bytes], *, title: str = "", more: Sequence[bytes] = ()) -> bytes:
    """A PDF whose pages have these content streams; `more` are objects from number 100 on."""
    numbers = range(10, 10 + 2 * len(contents), 2)
    kids = b" ".join(b"%d 0 R" % each for each in numbers)
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        3: _FONT,
        4: b"<< /Title (%s) >>" % title.encode("latin-1"),
    }
    for number, content in zip(numbers, contents, strict=True):
        objects[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> /XObject << /X 100 0 R >> >> >>" % (number + 1)
        )
        objects[number + 1] = content
    objects.update(enumerate(more, 100))
    return of_objects(objects)


def of_objects(objects: Mapping[int, bytes]) -> bytes:
    """A PDF of these objects; number 1 is its catalog, and 4 its information."""
    out, places = bytearray(b"%PDF-1.7\n"), {}
    for number, content in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in places.items():
        out += b"%d 1\n%010d 00000 n \n" % (number, place)
    out += b"trailer\n<< /Size 200 /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % table
    return bytes(out)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def document(data: bytes, **more: object) -> dict[str, object]:
    """A document block of the Messages API."""
    source = {"type": "base64", "media_type": "application/pdf", "data": encoded(data)}
    return {"type": "document", "source": source, **more}


def encrypted() -> bytes:
    """A PDF that wants a password."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("secret"))))
    writer.encrypt("password", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def _bomb(times: int) -> bytes:
    """A page whose content is 256 MB, compressed `times` times."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(256)) + packer.flush()
    for _ in range(times - 1):
        data = zlib.compress(data, 9)
    filters = b" ".join([b"/FlateDecode"] * times)
    return of_contents([_stream(data, b"/Filter [%s]" % filters)])


def _in_itself() -> bytes:
    form = _stream(b"/X Do /X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]"
                   b" /Resources << /XObject << /X 100 0 R >> >>")  # fmt: skip
    return of_contents([_stream(b"/X Do")], more=[form])


def _kids(kids: bytes, count: int) -> bytes:
    pages = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    return of_objects({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: pages})


def _doubling() -> bytes:
    """A tree of 2 ** 40 pages: each of 40 levels names the next twice."""
    levels = {
        2 + n: b"<< /Type /Pages /Kids [%d 0 R %d 0 R] /Count 2 >>" % (3 + n, 3 + n)
        for n in range(40)
    }
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"
    return of_objects({1: b"<< /Type /Catalog /Pages 2 0 R >>", **levels, 42: page})


def _previous() -> bytes:
    """Its table says that an older one is at the same place."""
    whole = pdf("x")
    place = whole.rindex(b"xref\n0 1")
    return whole.replace(b"/Size 200", b"/Size 200 /Prev %d" % place)


def slow() -> bytes:
    """Return 4 MB of strings, which take seconds to read, and much processor time."""
    return of_contents([_stream(b"BT /F1 1 Tf " + b"(a) Tj " * 550_000)])


HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no PDF": lambda: b"<html>not found</html>",
    "8 MB of garbage": lambda: b"%PDF-1.7\n" + os.urandom(8_000_000),
    "2 MB of obj": lambda: b"%PDF-1.7\n" + b"1 0 obj\n" * 250_000,
    "8 MB of brackets": lambda: of_contents([_stream(b"[" * 8_000_000)]),
    "8 MB of nested objects": lambda: of_objects({1: b"<< /A " + b"[" * 8_000_000}),
    "half of one": lambda: (whole := pdf("a", "b"))[: len(whole) // 2],
    "a bomb": lambda: _bomb(1),
    "a bomb in a bomb": lambda: _bomb(2),
    "a form in itself": _in_itself,
    "a page that is its own parent": lambda: _kids(b"2 0 R", 1),
    "a million pages that are one": lambda: _kids(b"3 0 R " * 1_000_000, 1_000_000),
    "2 ** 40 pages": _doubling,
    "a page that is not there": lambda: _kids(b"77 0 R", 1),
    "a count that is a lie": lambda: _kids(b"", 10**9),
    "a table before itself": _previous,
    "letters that are none": lambda: of_contents([_stream(b"BT /F1 9 Tf (\x00\x01\xff\x80) Tj ET")]),
}  # fmt: skip
