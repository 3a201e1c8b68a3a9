"""The content view of a response in mitmweb and mitmproxy: the attempts, then the body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

from mitmproxy import contentviews, http
from mitmproxy.flow import Flow

from neurolink_mitm.core.logs.summary import lines
from neurolink_mitm.dataplane.hooks import summary_of

NAME = "neurolink"
WIDTH = 10
"""Characters of the name in front of each line."""
RULE = "─" * 60
FIRST = 2.0
"""Priority above mitmproxy's own views, which have 1 at most."""


def text(data: bytes, flow: Flow | None) -> str:
    """Return the text to show. Raises `ValueError` for a flow without summary, which mitmproxy then shows raw."""
    summary = summary_of(flow) if isinstance(flow, http.HTTPFlow) else None
    if summary is None:
        raise ValueError("this flow has no record of NeuroLink")
    head = "".join(f"{name:<{WIDTH}} {line}\n" for name, line in lines(summary))
    return f"{head}{RULE}\n{data.decode('utf-8', 'replace')}"


def priority(flow: Flow | None, message: object) -> float:
    """Return the view's priority: the first for responses of requests that had an attempt."""
    if not isinstance(flow, http.HTTPFlow) or message is not flow.response:
        return -1
    summary = summary_of(flow)
    return FIRST if summary and summary.get("attempts") else -1


class NeuroLinkView:
    """The view in the form of mitmproxy 12."""

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
    """Add the view, once a process: mitmproxy has one list of views for all masters."""
    if hasattr(contentviews, "Contentview"):
        contentviews.add(NeuroLinkView())
    elif contentviews.get(NAME) is None:
        cast(Any, contentviews).add(_view_of_11())
