"""`python -m neurolink_mitm.translator.pdf_reader`: reads a PDF from standard input, and prints the text of its pages.

It is a process of its own, with limits of time and memory, since PDFs come from anywhere: whatever one does to its
reader, the translator goes on. It has no variables of the translator's, and so no keys.

    stdin   the length of the base64 in bytes (8 bytes, big-endian), the base64; its end ends the process
    stdout  lines of JSON: `{"pages": 12, "title": "…"}`, a string for each page, and at last `{"why": "…"}`, which
            is empty if there was no trouble

If the process is killed, what it has printed before counts.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import json
import os
import re
import resource
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from neurolink_mitm.core.providers.pdf import BROKEN, ENCRYPTED, NOT_READ, TOO_LARGE, TOO_LONG

MEMORY = 512 * 1024 * 1024
"""Bytes of address space: for the file, and for what is decompressed of it."""
CPU = 20
"""Seconds of processor time."""
LONGEST = 300_000
"""Characters of text in all, which are about 75,000 tokens."""
LONGEST_TITLE = 200
HEADER = 8
"""Bytes of the length before the base64."""

Line = dict[str, object] | str

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
"""Control characters and lone surrogates, as fonts without a table of their characters give them."""


def limit_this_process() -> None:
    """Limit time, memory and files. A limit that the system does not have is left out (memory on macOS)."""
    limits = (
        (resource.RLIMIT_AS, MEMORY, MEMORY), (resource.RLIMIT_CPU, CPU, CPU + 1),
        (resource.RLIMIT_CORE, 0, 0), (resource.RLIMIT_FSIZE, 0, 0),
    )  # fmt: skip
    for kind, soft, hard in limits:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (soft, hard))
    with contextlib.suppress(OSError):
        os.nice(5)  # requests come first


def end_with(parent: BinaryIO) -> None:
    """End this process as soon as `parent`, the rest of standard input, ends."""

    def follow() -> None:
        parent.read(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def lines(encoded: bytes) -> Iterator[Line]:
    """Yield the lines for the PDF in `encoded` (base64)."""
    try:
        yield from _lines(binascii.a2b_base64(encoded))
    except Exception as e:  # pypdf raises whatever a broken file leads it to
        yield {"why": _why(e)}


def _why(error: Exception) -> str:
    return _REASONS.get(type(error).__name__, BROKEN)


_REASONS = {
    "FileNotDecryptedError": ENCRYPTED,
    "WrongPasswordError": ENCRYPTED,
    "DependencyError": ENCRYPTED,  # by a method that nothing here knows
    "LimitReachedError": TOO_LARGE,
    "MemoryError": TOO_LARGE,
    "ModuleNotFoundError": NOT_READ,  # pypdf is missing
}
"""By the names of exceptions, since pypdf is imported where a failure of that is noticed, too."""


def _lines(data: bytes) -> Iterator[Line]:
    import pypdf

    # without jbig2dec, which would be run for pictures
    pypdf.apply_configuration(pypdf.Configuration(jbig2dec_binary=None))
    reader = pypdf.PdfReader(io.BytesIO(data))
    pages = len(reader.pages)
    yield {"pages": pages, "title": _title(reader)}
    left, why = LONGEST, "" if pages else BROKEN
    for number in range(pages):
        try:
            text = _clean(reader.pages[number].extract_text()).strip()
        except Exception as e:  # the other pages may be good
            text, why = "", _why(e)
        yield text[:left]
        left -= len(text)
        if left <= 0 and number + 1 < pages:
            yield {"why": TOO_LONG}
            return
    yield {"why": why}


def _title(reader: object) -> str:
    try:
        title = reader.metadata.title  # type: ignore[attr-defined]
    except Exception:
        return ""
    return " ".join(_clean(str(title or ""))[:LONGEST_TITLE].split())


def _clean(text: str) -> str:
    return _CONTROLS.sub(" ", text)


def main() -> None:
    """Read, and print."""
    limit_this_process()
    source = sys.stdin.buffer
    encoded = source.read(int.from_bytes(source.read(HEADER), "big"))
    end_with(source)
    for line in lines(encoded):
        sys.stdout.buffer.write(json.dumps(line).encode() + b"\n")
        sys.stdout.buffer.flush()
    os._exit(0)  # without freeing what was read, object by object


if __name__ == "__main__":
    main()
