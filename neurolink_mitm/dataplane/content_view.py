"""A view of an answer, in mitmweb and mitmproxy: how it came about, then the answer itself.

Content views have another form since mitmproxy 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

from mitmproxy import contentviews, http
from mitmproxy.flow import Flow

from neurolink_mitm.core.logs.summary import lines
from neurolink_mitm.dataplane.hooks import summary_of

NAME = "neurolink"
WIDTH = 10
"""Of the names in front of the lines."""
RULE = "─" * 60
FIRST = 2.0
"""Before mitmproxy's own views, whose highest priority is 1."""


def text(data: bytes, flow: Flow | None) -> str:
    """Raises `ValueError` for a flow that is none of ours: mitmproxy says so, and shows it raw."""
    seen = summary_of(flow) if isinstance(flow, http.HTTPFlow) else None
    if seen is None:
        raise ValueError("this flow has no record of NeuroLink")
    told = "".join(f"{name:<{WIDTH}} {line}\n" for name, line in lines(seen))
    return f"{told}{RULE}\n{data.decode('utf-8', 'replace')}"


def priority(flow: Flow | None, message: object) -> float:
    """It is chosen by itself for the answers of what was sent on an account."""
    if not isinstance(flow, http.HTTPFlow) or message is not flow.response:
        return -1
    seen = summary_of(flow)
    return FIRST if seen and seen.get("attempts") else -1


class NeuroLinkView:
    """For mitmproxy 12."""

    name = NAME
    syntax_highlight: Literal["none"] = "none"

    def prettify(self, data: bytes, metadata: Any) -> str:
        return text(data, metadata.flow)

    def render_priority(self, data: bytes, metadata: Any) -> float:
        return priority(metadata.flow, metadata.http_message)

    def __lt__(self, other: Any) -> bool:
        return bool(self.name < other.name)


def _view_of_11() -> Any:
    """Return the view in the form of mitmproxy 11; 12 warns as soon as such a class is made."""
    from mitmproxy.contentviews.base import View

    class OldView(View):
        """Called with what is known as keywords."""

        name = NAME

        def __call__(
            self, data: bytes, *, flow: Flow | None = None, **metadata: Any
        ) -> tuple[str, Iterator[list[tuple[str, str | bytes]]]]:
            return "NeuroLink", ([("text", line)] for line in text(data, flow).splitlines())

        def render_priority(
            self, data: bytes, *, flow: Flow | None = None, http_message: object = None, **_: Any
        ) -> float:
            return priority(flow, http_message)

    return OldView()


def add_view() -> None:
    """Once a process: mitmproxy keeps its views in one list for all masters."""
    if hasattr(contentviews, "Contentview"):
        contentviews.add(NeuroLinkView())
    elif contentviews.get(NAME) is None:
        cast(Any, contentviews).add(_view_of_11())
