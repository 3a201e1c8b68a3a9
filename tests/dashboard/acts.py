"""What a test does in a page without a browser: post an action, and take it back by the Undo that it answers."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Answer:
    """The answer to an action: its text, and the action and fields of its Undo."""

    status: int
    text: str
    undo: tuple[str, dict[str, str]] | None
    refresh: str

    @property
    def done(self) -> bool:
        return self.status == 200


def act(client: httpx.Client, action: str, **fields: Any) -> Answer:
    """Post an action."""
    response = client.post(f"/actions/{action}", data=fields)
    page = response.text
    found = re.search(r"<p>(.*?)</p>", page, re.DOTALL)
    assert found, page
    text = html.unescape(re.sub(r"<[^>]*>", "", found[1]))
    undo = re.search(r'hx-post="/actions/([^"]*)"', page)
    inputs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    back = (undo[1], {name: html.unescape(value) for name, value in inputs}) if undo else None
    return Answer(response.status_code, text, back, response.headers.get("hx-trigger", ""))


def take_back(client: httpx.Client, answer: Answer) -> Answer:
    """Post its Undo."""
    assert answer.undo, f"no Undo: {answer.text}"
    action, fields = answer.undo
    return act(client, action, **fields)
