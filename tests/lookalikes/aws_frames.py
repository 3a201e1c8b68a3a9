"""AWS's binary event stream (`application/vnd.amazon.eventstream`).

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html: the lengths and their
CRC, the headers, the payload, the CRC of it all.
"""

from __future__ import annotations

import json
import struct
import zlib

from tests.lookalikes.script import Json

STREAM = "application/vnd.amazon.eventstream"
_TEXT = 7
"""The type of a header that is a string."""


def frame(payload: Json, **headers: str) -> bytes:
    """Return a message; `headers` are named without their colon, with `_` for `-`."""
    told = b"".join(
        _header(f":{name.replace('_', '-')}", value)
        for name, value in {**headers, "content_type": "application/json"}.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 12 + len(told) + len(body) + 4, len(told))
    head = prelude + struct.pack(">I", zlib.crc32(prelude))
    return head + told + body + struct.pack(">I", zlib.crc32(head + told + body))


def _header(name: str, value: str) -> bytes:
    key, told = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _TEXT, len(told)) + told


def event(kind: str, payload: Json) -> bytes:
    """Return an event of a stream."""
    return frame(payload, event_type=kind, message_type="event")


def exception(kind: str, message: str) -> bytes:
    """Return an exception within a stream."""
    return frame({"message": message}, exception_type=kind, message_type="exception")
