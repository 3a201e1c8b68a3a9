"""The content of a response: status, media type, and the bytes of each write."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.errors import error_body, status_of, type_of
from neurolink_mitm.sandbox.events import error_event

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
HTML = "text/html; charset=UTF-8"

PAGE = """<!DOCTYPE html>
<html lang="en-US">
<head><title>api.anthropic.com | {status}: {title}</title></head>
<body><div id="cf-wrapper"><div id="cf-error-details">
<h1><span>{title}</span> <span>Error code {status}</span></h1>
<p>Ray ID: 8f2c0d1e2b3a4f5d &bull; Performance &amp; security by Cloudflare</p>
</div></div></body>
</html>
"""
TITLES = {403: "Access denied", 502: "Bad gateway", 520: "Web server is returning an unknown error"}


@dataclass(frozen=True)
class Content:
    """The status and body of a response."""

    status: int
    type: str
    writes: tuple[bytes, ...]
    pieces: bool = False  # the writes are parts of one body, not whole events

    @property
    def length(self) -> int | None:
        """Return the length of the body; None for a stream, whose length is unknown when the head is sent."""
        return None if self.type.startswith("text/event-stream") else sum(map(len, self.writes))


def instead(reply: Reply, stream: bool, request_id: str) -> Content | None:
    """Return the content that `reply` puts in place of a good response; None if it wants the good one."""
    if reply.empty:
        return Content(reply.status, reply.content_type or (EVENT_STREAM if stream else JSON), ())
    if reply.html:
        title = TITLES.get(reply.status, "Error")
        return whole(reply, PAGE.format(status=reply.status, title=title).encode(), HTML)
    if reply.body is not None:
        return whole(reply, reply.body)
    if reply.status >= 400:
        error_type = reply.error_type or type_of(reply.status)
        return whole(reply, error_body(error_type, reply.message, request_id))
    return _error_in_answer(reply, stream, request_id)


def _error_in_answer(reply: Reply, stream: bool, request_id: str) -> Content | None:
    late = reply.error_after is not None
    if reply.error_first is None and not late:
        return None
    error_type = reply.error_first or _late_type(reply)
    if not stream:
        body = error_body(error_type, reply.message, request_id)
        return whole(replace(reply, status=status_of(error_type)), body)
    if reply.error_first is None:
        return None
    return Content(reply.status, EVENT_STREAM, (error_event(error_type, reply.message),))


def whole(reply: Reply, body: bytes, content_type: str = JSON) -> Content:
    """Return `body` as one write, or as two if it is to break off or stall between them."""
    breaks = reply.cut_after is not None or reply.stall_after is not None
    half = len(body) // 2
    writes = (body[:half], body[half:]) if breaks else (body,)
    return Content(reply.status, reply.content_type or content_type, writes, pieces=True)


def streamed(reply: Reply, events: Sequence[bytes]) -> Content:
    """Return a stream of `events`, those of the good response, with the changes of `reply`."""
    if reply.no_stop:
        events = events[:-1]
    if reply.error_after is not None:
        error = error_event(_late_type(reply), reply.message)
        events = (*events[: reply.error_after], error)
    n = reply.coalesce
    writes = events if n == 1 else [b"".join(events[i : i + n]) for i in range(0, len(events), n)]
    return Content(reply.status, reply.content_type or EVENT_STREAM, tuple(writes))


def _late_type(reply: Reply) -> str:
    return reply.error_type or "overloaded_error"
