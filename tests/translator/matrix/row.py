"""A row of the matrix: a request of Claude Code's kind, and what a provider has to receive of it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Abilities:
    """What a provider's API can take at all, as far as the rows depend on it."""

    sees: bool = True
    """Pictures."""
    links: bool = False
    """Pictures by their address."""
    reads: bool = False
    """PDFs as such."""
    stops: bool = True
    warms: bool = True
    """Takes a temperature."""
    forces: bool = True
    """A call can be forced."""
    twice: bool = False
    """Nothing tells beforehand what it takes, so that it may be asked again without it."""
    claude: bool = False
    """It is Claude, elsewhere: what Anthropic refuses, it refuses."""


Check = Callable[[Abilities, Json], str | None]
"""Looks at what was received; returns what is wrong."""


@dataclass(frozen=True)
class Row:
    """`fields` go over a plain request. What the provider receives holds, and lacks, these texts."""

    name: str
    fields: Json
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    picture: bool | None = None
    """A picture goes along where it can be seen; where it can't, words take its place."""
    check: Check | None = None
    faulty: str = ""
    """A pattern: Anthropic itself refuses the request, so a 400 of ours that says so is right, too."""
    excused: Mapping[str, str] = field(default_factory=dict)
    """Targets whose API can't take it, with the reason."""


def picture(kind: str = "png", data: bytes = b"") -> Json:
    source = {
        "type": "base64",
        "media_type": f"image/{kind}",
        "data": _encoded(data or MAGIC[kind]),
    }
    return {"type": "image", "source": source}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data + b"\0" * 32).decode()


MAGIC = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0",
    "gif": b"GIF89a",
    "webp": b"RIFF\0\0\0\0WEBP",
}
PNG = _encoded(MAGIC["png"])


def _pdf(words: str) -> str:
    """Return a PDF of one page with `words` on it."""
    drawn = f"BT /F1 24 Tf 72 700 Td ({words}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    begin = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        begin,
    )
    return base64.b64encode(bytes(out)).decode()


PDF_DATA = _pdf("PDFWORDS")
PDF: Json = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
}
MARK: Json = {"cache_control": {"type": "ephemeral"}}
USER: Json = {"role": "user", "content": "ASKED"}
WORDS: Json = {"type": "text", "text": "WORDS"}
READ: Json = {
    "name": "Read",
    "description": "Reads a file.",
    "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "file_path": {"type": "string", "description": "THEPATH"},
            "limit": {"type": "integer"},
        },
        "required": ["file_path"],
        "additionalProperties": False,
    },
}


def says(*blocks: Any) -> Json:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def talk(*contents: Any, **more: Any) -> Json:
    """Return a conversation in turns, the user first."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": each} for i, each in enumerate(contents)]
    return {"messages": messages, **more}


def use(identity: str = "toolu_01A", name: str = "Read", **given: Any) -> Json:
    given = given or {"file_path": "CALLED"}
    return {"type": "tool_use", "id": identity, "name": name, "input": given}


def result(content: Any = "RESULT", identity: str = "toolu_01A", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def tools(*schemas: Any, **more: Any) -> Json:
    """Return a request that offers a tool with each schema."""
    made = [
        {"name": f"tool_{i}", "description": f"TOOL{i}", "input_schema": schema}
        for i, schema in enumerate(schemas)
    ]
    return {"tools": made, **more}


def properties(**named: Any) -> Json:
    return {"type": "object", "properties": named, "required": []}
