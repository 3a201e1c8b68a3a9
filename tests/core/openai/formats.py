"""A plain form of answers for tests: the names of the events, the id of the message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass
class PlainWriter:
    """Writes `data: NAME` for each event, and `data: [DONE]` after a good end."""

    ended: bool = False
    failed: bool = False

    def event(self, name: str, data: bytes) -> bytes:
        self.ended = self.ended or name == "message_stop"
        self.failed = self.failed or name == "error"
        if b"explode" in data:
            raise KeyError("a secret of the answer")
        return b"data: %b\n\n" % (data if name == "error" else name.encode())

    def end(self) -> bytes:
        return b"data: [DONE]\n\n" if self.ended and not self.failed else b""


@dataclass
class PlainAnswer:
    """`whole` gives the texts of the message, with the request's id."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def stream(self, request_id: str, created: int) -> PlainWriter:
        self.asked.append((request_id, created))
        return PlainWriter()

    def whole(self, message: bytes, request_id: str, created: int) -> bytes:
        try:
            texts = [block["text"] for block in json.loads(message)["content"]]
        except (ValueError, LookupError) as e:
            raise ValueError("no message") from e
        return json.dumps({"plain": texts, "id": request_id}).encode()
