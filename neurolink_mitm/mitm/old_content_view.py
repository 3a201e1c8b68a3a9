"""The view of `content_view` in the form of mitmproxy 11; 12 warns as soon as such a class is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mitmproxy.contentviews.base import View
from mitmproxy.flow import Flow

from neurolink_mitm.mitm.content_view import NAME, priority, text


class OldView(View):
    """Called with what is known as keywords."""

    name = NAME

    def __call__(
        self, data: bytes, *, flow: Flow | None = None, **metadata: Any
    ) -> tuple[str, Iterator[list[tuple[str, str | bytes]]]]:
        return "NeuroLink", ([("text", line)] for line in text(data, flow).splitlines())

    def render_priority(
        self, data: bytes, *, flow: Flow | None = None, http_message: object = None, **metadata: Any
    ) -> float:
        return priority(flow, http_message)
