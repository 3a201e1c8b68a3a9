from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping

from mitmproxy import http

from neurolink_mitm.core.auth.access import credential
from neurolink_mitm.core.cost.client_limits import model_not_allowed
from neurolink_mitm.core.exchange import ClientRequest, Exchange, Kind
from neurolink_mitm.core.openai import unserved
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.openai.chat_or_responses import chat_or_responses_request
from neurolink_mitm.core.openai.claude import ClaudeTraits, claude_traits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.header_fields import messages_fields, session_in
from neurolink_mitm.core.openai.responses.retrieval import is_retrieval, retrieve
from neurolink_mitm.core.openai.responses.stored import client_space
from neurolink_mitm.core.openai.responses.storing import storing_translator
from neurolink_mitm.core.openai.translated import Translate, Translated
from neurolink_mitm.core.providers import destinations, models
from neurolink_mitm.core.request.head import MESSAGES_PATH
from neurolink_mitm.dataplane.codings import CodingError, unpacked
from neurolink_mitm.dataplane.hooks import (
    exchange_of,
    json_response,
    openai_refusal,
    unmasked_fields,
)
from neurolink_mitm.dataplane.original_request import save_client_request
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

REFERENCES = (b'"previous_response_id"', b'"item_reference"')
FEW_BYTES = 1 << 17
"""Bytes of a request that is translated within some milliseconds, whatever is in it."""
FEW_STORED = 1 << 17
"""Bytes of stored responses that are read within some milliseconds."""
TRANSLATORS: Mapping[Api, Translate] = {Api.CHAT: chat_or_responses_request}


class OpenAiRequest:
    """Translates a chat or responses request to a Messages request, and refuses what only OpenAI serves."""

    def __init__(
        self, runtime: Runtime, translators: Mapping[Api, Translate] = TRANSLATORS
    ) -> None:
        self.runtime = runtime
        self._translators = translators

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the body takes long to read."""
        exchange = exchange_of(flow)
        if flow.response or exchange is None or exchange.api is Api.ANTHROPIC:
            return None
        if self.runtime.passthrough or exchange.kind is Kind.EMBEDDINGS:
            return None
        # if what follows breaks, `Route` refuses a request that has not become `Kind.MESSAGES`
        translate = self._translator(flow, exchange)
        if translate is None:
            self._answer_here(flow, exchange)
            return None
        body = flow.request.raw_content or b""
        coding = flow.request.headers.get("content-encoding", "")
        work = functools.partial(self._translated, exchange, translate, body, coding)
        if coding or _takes_long(body) or self._continues_much(body):
            return _in_thread(flow, exchange, work)
        _take(flow, exchange, work())
        return None

    def _translator(self, flow: http.HTTPFlow, exchange: Exchange) -> Translate | None:
        if exchange.api is Api.RESPONSES:
            return storing_translator(
                self.runtime.memory, self._space(flow), self.runtime.clock.now
            )
        return self._translators.get(exchange.api)

    def _continues_much(self, body: bytes) -> bool:
        """Whether what is stored may be part of the request, and take long to read."""
        return self.runtime.memory.size > FEW_STORED and any(name in body for name in REFERENCES)

    def _space(self, flow: http.HTTPFlow) -> str:
        """Return the name of the client's own memory, where clients are told apart by their keys."""
        asks = bool(self.runtime.client_keys)
        return client_space(credential(unmasked_fields(flow)) if asks else None)

    def _answer_here(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer a request for a stored response. Refuse all others."""
        memory, now = self.runtime.memory, self.runtime.clock.now()
        method, path = exchange.method, exchange.path
        if not is_retrieval(method, path):
            _refuse(flow, exchange, unserved.refusal(method, path, flow.request.headers.fields))
            return
        try:
            flow.response = json_response(
                200, retrieve(memory, self._space(flow), method, path, now)
            )
        except RequestError as e:
            _refuse(flow, exchange, e)

    def _translated(
        self, exchange: Exchange, translate: Translate, body: bytes, coding: str
    ) -> Translated | RequestError:
        traits = functools.partial(self._traits, exchange)
        try:
            return translate(unpacked(body, coding), traits)
        except RequestError as e:
            return e
        except CodingError as e:
            return RequestError(f"the request body can't be read: {e}", status=e.status)

    def _traits(self, exchange: Exchange, model: str) -> ClaudeTraits:
        """Return the traits of the model that will be asked. Raises `RequestError` where nobody serves it."""
        exchange.model = model  # the log names it, also where the request is refused
        routing = self.runtime.config.routing
        if refusal := model_not_allowed(exchange.client_key, model, routing):
            raise unserved.forbidden(refusal)
        route = destinations.route(model, routing, self.runtime.pool.fallbacks)
        if route is None:
            raise unserved.not_mapped(model, models.served(routing))
        return claude_traits(route.model)


def _takes_long(body: bytes) -> bool:
    return len(body) > FEW_BYTES


async def _in_thread(
    flow: http.HTTPFlow, exchange: Exchange, work: Callable[[], Translated | RequestError]
) -> None:
    _take(flow, exchange, await run_in_thread(work))


def _take(flow: http.HTTPFlow, exchange: Exchange, translated: Translated | RequestError) -> None:
    if isinstance(translated, RequestError):
        _refuse(flow, exchange, translated)
        return
    request = flow.request
    save_client_request(flow)
    fields = request.headers.fields
    exchange.client_request = ClientRequest(fields, request.raw_content or b"")
    named = None if translated.names_session else session_in(fields)
    exchange.session_id = named or translated.session
    exchange.answer, exchange.notes = translated.answer, translated.notes
    exchange.kind, exchange.messages_request = Kind.MESSAGES, translated.messages_request
    # mitmproxy's setters take as long as the rest
    request.data.path, request.data.content = MESSAGES_PATH.encode(), translated.body
    request.headers.fields = messages_fields(fields, len(translated.body), translated.beta)


def _refuse(flow: http.HTTPFlow, exchange: Exchange, refusal: RequestError) -> None:
    flow.response = openai_refusal(refusal, exchange.request_id)
    exchange.why = str(refusal)
    if refusal.status == 405:
        flow.response.headers["allow"] = "POST"
    if refusal is unserved.NO_WEBSOCKET:  # RFC 9110 section 15.5.22
        flow.response.headers["upgrade"] = "HTTP/1.1"
        flow.response.headers["connection"] = "upgrade, close"
