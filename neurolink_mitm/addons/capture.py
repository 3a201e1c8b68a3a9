from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http

from neurolink_mitm.core.exchange import Attempt, Exchange, Kind, Outcome
from neurolink_mitm.core.logs.capture import LIMIT, Body, Captured, Phase
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.dataplane.hooks import exchange_of, flow_state
from neurolink_mitm.ports import Bodies, Runtime

CAPTURE = "neurolink.capture"
HELD = 32 * 1024 * 1024
"""Bytes held for all requests in flight; bodies beyond are cut."""
OURS = b"x-neurolink-"


@dataclass(slots=True)
class Room:
    """The bytes that are left of `HELD`."""

    left: int = HELD

    def take(self, size: int) -> bool:
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


@dataclass(slots=True)
class Tee:
    """Passes data on, and holds a copy as far as there is room."""

    room: Room
    inner: Callable[[bytes], Any] | None
    chunks: list[bytes] = field(default_factory=list)
    kept: int = 0
    size: int = 0
    after: bool = False
    """Hold what `inner` makes of the data."""

    def __call__(self, data: bytes) -> Any:
        if not self.after:
            self._hold(data)
        result = self.inner(data) if self.inner else data
        if self.after:
            self._hold(result)
        return result

    def _hold(self, data: bytes) -> None:
        whole = self.kept == self.size
        self.size += len(data)
        if whole and self.kept + len(data) <= LIMIT and self.room.take(len(data)):
            self.kept += len(data)
            self.chunks.append(data)

    @property
    def body(self) -> Body:
        return Body(b"".join(self.chunks), self.size)


@dataclass(slots=True)
class Record:
    """The request of one exchange, held until its outcome says whether it is captured."""

    fields: Fields
    url: str
    request: Body
    held: int
    sent: Body | None = None
    """The body that the serving attempt sent; the flow may have let go of it at the end."""
    tee: Tee | None = None
    to_client: Tee | None = None
    """What the client got, where that is translated, or has the words again that shaping took out."""

    @property
    def kept(self) -> int:
        """The bytes that are held."""
        tees = (self.tee, self.to_client)
        return self.held + sum(tee.kept for tee in tees if tee)


class Capture:
    """Captures both sides of requests and attempts, as `logging.capture-bodies` says."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._room = Room()

    def request(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        wanted = self.runtime.config.logging.capture_bodies != "off" and self.runtime.bodies
        if not wanted or exchange is None or exchange.kind is Kind.LOCAL:
            return
        client = exchange.client_request
        content = client.body if client else flow.request.raw_content or b""
        held = len(content) if self._room.take(len(content)) else 0
        body = Body(content[:LIMIT] if held else b"", len(content))
        fields = client.fields if client else flow.request.headers.fields
        flow_state(flow)[CAPTURE] = Record(fields, exchange.path, body, held)

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        record, exchange, bodies = self._known(flow)
        if record is None or exchange is None or bodies is None or not exchange.attempts:
            return
        attempt = exchange.attempts[-1]
        heard = attempt.upstream_response
        bodies.capture(_sent(flow, exchange, attempt, _body_of(flow, record)))
        if heard:
            body = Body(heard.body[:LIMIT], len(heard.body))
            bodies.capture(_answered(exchange, attempt, heard.status, heard.fields, body))

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        record, exchange, _ = self._known(flow)
        if record is None or exchange is None or flow.response is None:
            return
        if flow.response.stream:  # it comes from upstream; what we say ourselves stays on the flow
            record.sent = self._hold(_body_of(flow, record), record)
            inner = flow.response.stream
            record.tee = Tee(self._room, inner if callable(inner) else None)
            flow.response.stream = record.tee
            if exchange.answer or exchange.attempts[-1].replaced:
                record.to_client = Tee(self._room, record.tee, after=True)
                flow.response.stream = record.to_client

    def response(self, flow: http.HTTPFlow) -> None:
        record, exchange, bodies = self._known(flow)
        flow_state(flow).pop(CAPTURE, None)
        if record is None or exchange is None:
            return
        self._room.left += record.kept
        if bodies and self._is_wanted(exchange):
            for captured in _sides(flow, exchange, record):
                bodies.capture(captured)

    error = response

    def _hold(self, body: Body, record: Record) -> Body:
        """Hold the attempt's body, where it differs from the client's and there is room."""
        if body is record.request:
            return body
        if not self._room.take(len(body.content)):
            return Body(b"", body.size)
        record.held += len(body.content)
        return body

    def _is_wanted(self, exchange: Exchange) -> bool:
        if not exchange.attempts and exchange.status in (401, 403):
            return False  # strangers are not to fill the disk
        mode = self.runtime.config.logging.capture_bodies
        return mode == "all" or (mode == "errors" and exchange.outcome is not Outcome.COMPLETE)

    def _known(self, flow: http.HTTPFlow) -> tuple[Record | None, Exchange | None, Bodies | None]:
        return flow_state(flow).get(CAPTURE), exchange_of(flow), self.runtime.bodies


def _sides(flow: http.HTTPFlow, exchange: Exchange, record: Record) -> list[Captured]:
    """Return the sides of a finished request; those of failed attempts are captured already."""
    ended = exchange.ended_at or exchange.began_at
    asked = Captured(
        exchange.request_id, exchange.began_at, Phase.CLIENT_REQUEST, record.fields, record.request,
        method=exchange.method, url=record.url,
    )  # fmt: skip
    sides = [asked]
    body: Body | None = None
    if record.sent and record.tee and flow.response:
        body = record.tee.body
        fields = tuple(f for f in flow.response.headers.fields if not f[0].startswith(OURS))
        attempt = exchange.attempts[-1]
        sides.append(_sent(flow, exchange, attempt, record.sent))
        sides.append(_answered(exchange, attempt, flow.response.status_code, fields, body))
        body = _to_client(record.to_client.body, body) if record.to_client else body
    elif flow.response:
        content = flow.response.raw_content or b""
        body = Body(content[:LIMIT], len(content))
    if flow.response and exchange.status is not None:
        answered = Captured(
            exchange.request_id, ended, Phase.CLIENT_RESPONSE, flow.response.headers.fields, body,
            account=exchange.account.label if exchange.account else None,
            status=exchange.status, seconds=ended - exchange.began_at,
        )  # fmt: skip
        sides.append(answered)
    return sides


def _body_of(flow: http.HTTPFlow, record: Record) -> Body:
    """Return the attempt's body; an unchanged one is the client's object."""
    content = flow.request.raw_content or b""
    size = len(content)
    content = content[:LIMIT]
    if record.held and size == record.request.size and content == record.request.content:
        return record.request
    return Body(content, size)


def _to_client(body: Body, upstream: Body) -> Body:
    """Return what the client got; upstream's own body where it is the same."""
    same = body.size == upstream.size and body.content == upstream.content
    return upstream if same else body


def _sent(flow: http.HTTPFlow, exchange: Exchange, attempt: Attempt, body: Body) -> Captured:
    return Captured(
        exchange.request_id, attempt.sent_at, Phase.UPSTREAM_REQUEST,
        headers.mask_fields(flow.request.headers.fields), body,
        attempt=attempt.number, account=_account(attempt),
        method=flow.request.method, url=flow.request.url,
    )  # fmt: skip


def _answered(
    exchange: Exchange, attempt: Attempt, status: int, fields: Fields, body: Body
) -> Captured:
    ended = attempt.ended_at or attempt.sent_at
    return Captured(
        exchange.request_id, ended, Phase.UPSTREAM_RESPONSE, fields, body,
        attempt=attempt.number, account=_account(attempt),
        status=status, seconds=ended - attempt.sent_at,
    )  # fmt: skip


def _account(attempt: Attempt) -> str | None:
    return attempt.account.label if attempt.account else None
