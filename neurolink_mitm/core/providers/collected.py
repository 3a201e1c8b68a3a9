"""Puts the loose events of an answer together to a loose message, for `stream.whole` to put in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def message_of(events: Iterable[Json]) -> Json | None:
    """Return the message that the events tell; None if they have no end."""
    content: list[dict[str, Any]] = []
    pieces: dict[tuple[int, str], list[str]] = {}
    message: Json = {"content": content}
    ended = False
    for event in events:
        if event["type"] == "content_block_start":
            content.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta" and content:
            for name, words in event["delta"].items():
                if name != "type":
                    member = "input" if name == "partial_json" else name
                    pieces.setdefault((len(content) - 1, member), []).append(words)
        elif event["type"] == "message_delta":
            message |= {**event["delta"], "usage": event.get("usage")}
        ended = ended or event["type"] == "message_stop"
    for (place, name), words in pieces.items():
        given = content[place].get(name)
        content[place][name] = (given if isinstance(given, str) else "") + "".join(words)
    return message if ended else None
