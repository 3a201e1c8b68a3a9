from __future__ import annotations

import logging
from collections.abc import Awaitable

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange, Outcome
from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.openai import editors
from neurolink_mitm.core.openai.api import Api, api_of
from neurolink_mitm.core.openai.editors import Editor, WholeEditor
from neurolink_mitm.core.openai.errors import (
    SERVER,
    OpenAiError,
    RequestError,
    encoded,
    error_in_openai_form,
    is_openais,
)
from neurolink_mitm.core.response.reader import EventStreamReader
from neurolink_mitm.dataplane.hooks import exchange_of, flow_state, is_pool_flow
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.openai")

TRANSLATION = "neurolink.openai"

UNTRANSLATED = "NeuroLink could not translate upstream's answer"
NOT_TRANSLATED = encoded(OpenAiError(UNTRANSLATED, SERVER))


class OpenAiResponse:
    """Translates the response to what the client of OpenAI's API understands: upstream's, and our own errors."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = exchange_of(flow), flow.response
        if response is None or not is_pool_flow(flow):
            return
        api = exchange.api if exchange else api_of(flow.request.method, flow.request.path)
        if api is Api.ANTHROPIC:
            return
        if exchange:
            response.headers["x-request-id"] = exchange.request_id  # as the SDKs show it
        if not response.stream:
            _put_error(response, api)
        elif exchange and exchange.answer:
            if exchange.notes:
                exchange.why = "; ".join(filter(None, (exchange.why, *exchange.notes)))
            flow_state(flow)[TRANSLATION] = self._translate(response, exchange)

    def response_complete(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Translate a response that has come whole, which takes up to a second a megabyte."""
        translation = flow_state(flow).get(TRANSLATION)
        if isinstance(translation, _Translation) and translation.is_whole:
            return run_in_thread(translation.prepare)
        return None

    def _translate(self, response: http.Response, exchange: Exchange) -> _Translation:
        assert exchange.answer
        upstream_streams = isinstance(exchange.reader, EventStreamReader)
        fields = response.headers
        coding = fields.pop("content-encoding", "identity")
        fields["content-type"] = editors.EVENT_STREAM if exchange.stream else editors.JSON
        created = int(self.runtime.clock.now())
        made = editors.editor(
            exchange.answer,
            exchange.request_id,
            created,
            upstream_streams=upstream_streams,
            client_streams=exchange.stream,
        )
        stream = _Translation(made, response, exchange)
        if coding.lower() != "identity":
            stream.give_up(f"content-encoding {coding}")
        response.stream = stream
        return stream


class _Translation:
    """The callable that mitmproxy calls with each chunk. Never raises: the client would be left waiting."""

    def __init__(self, made: Editor, response: http.Response, exchange: Exchange) -> None:
        self._editor = made
        self._inner = response.stream if callable(response.stream) else None
        """What shaping has set."""
        self._response = response
        self._exchange = exchange
        self._last: bytes | None = None
        """What ends a response that can't be translated, until it is sent; empty from then on."""
        self._prepared: bytes | None = None
        """What the call at the end returns, where a thread has made it."""

    @property
    def is_whole(self) -> bool:
        """Whether it is translated at its end."""
        return isinstance(self._editor, WholeEditor)

    def prepare(self) -> None:
        """Do the work of the last call; it may run in a thread, while nothing else uses the flow."""
        self._prepared = self(b"")

    def __call__(self, data: bytes) -> bytes:
        if self._prepared is not None:
            prepared, self._prepared = self._prepared, b""
            return prepared
        if self._last is None:
            try:
                return self._edited(data)
            except RequestError as e:
                self.give_up(type(e).__name__, e.body)
            except Exception as e:  # its text may hold what the answer says
                self.give_up(type(e).__name__)
        last, self._last = self._last, b""
        return last or b""

    def _edited(self, data: bytes) -> bytes:
        ready = self._inner(data) if self._inner else data
        ready = ready if isinstance(ready, bytes) else b"".join(ready)
        edited = self._editor.feed(ready) if ready else b""
        return edited if data else edited + self._editor.end()

    def give_up(self, why: str, body: bytes = NOT_TRANSLATED) -> None:
        """End the response with an error, and log `why`. `body` is for a client that waits for the whole answer."""
        logger.error("the answer to %s can't be translated: %s", self._exchange.request_id, why)
        self._exchange.outcome = Outcome.ERROR
        if self._exchange.stream:
            self._last = self._error_event()
        else:
            self._last = body
            self._response.status_code = 502  # counts where the body is held to its end

    def _error_event(self) -> bytes:
        answer, exchange = self._exchange.answer, self._exchange
        try:
            assert answer
            writer = answer.stream(exchange.request_id, 0)
            return writer.event("error", error_body("api_error", UNTRANSLATED))
        except Exception:
            return b"data: %b\n\n" % NOT_TRANSLATED


def _put_error(response: http.Response, api: Api) -> None:
    """Put an error of ours, or upstream's own, into OpenAI's form. Its fields stay, `retry-after` among them."""
    body = response.raw_content or b""
    if response.status_code < 400 or is_openais(body):
        return
    try:
        body = response.content or b""
    except ValueError:  # compressed in a way that nobody can undo
        body = b""
    response.headers.pop("content-encoding", None)
    response.content = encoded(error_in_openai_form(body, response.status_code, api))
    response.headers["content-type"] = editors.JSON
