"""The translator's HTTP server: Anthropic's Messages API, and OpenAI's embeddings, for callers that have the secret."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from neurolink_mitm.core.failover.errors import MENDABLE, error_body
from neurolink_mitm.core.openai.embeddings import embeddings_request
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.providers.adapt import Adapted
from neurolink_mitm.core.providers.call_signatures import (
    CallSignatures,
    is_wordless,
    signatures_in,
)
from neurolink_mitm.core.providers.errors import ProviderError
from neurolink_mitm.core.providers.pdf import pdfs_in
from neurolink_mitm.core.providers.stream import ProviderStream, whole
from neurolink_mitm.core.providers.translator import (
    MODEL_HEADER,
    NOTE_HEADER,
    PROVIDER_HEADER,
    Setup,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.tool_ids import ids_in
from neurolink_mitm.core.response.sse import KEEP_ALIVE as COMMENT
from neurolink_mitm.translator.embeddings import refused_model
from neurolink_mitm.translator.engine import Engine, Question

logger = logging.getLogger("neurolink.translator")

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent, so that the stream is not taken for dead."""
REFUSALS = frozenset({400, 413, 415, 422})
"""Statuses by which a provider says that it does not take what is in a request."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

Json = dict[str, Any]


def make_app(
    engine: Engine, setup: Callable[[], Setup], keep_alive: float = KEEP_ALIVE
) -> Starlette:
    """Return the ASGI application; `setup` returns the latest setup."""
    translator = Translator(engine, setup, keep_alive)
    return Starlette(
        routes=[
            Route("/health", translator.health),
            Route("/v1/messages", translator.messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", translator.count, methods=["POST"]),
            Route("/v1/embeddings", translator.embeddings, methods=["POST"]),
        ]
    )


class Translator:
    """The handlers of the routes."""

    def __init__(self, engine: Engine, setup: Callable[[], Setup], keep_alive: float) -> None:
        self._engine = engine
        self._setup = setup
        self._keep_alive = keep_alive
        self._signatures = CallSignatures()

    async def health(self, request: Request) -> Response:
        """Answer that the server runs."""
        return JSONResponse({"status": "ok"})

    async def messages(self, request: Request) -> Response:
        """Answer a message, streamed or not."""
        try:
            asked = await self._asked(request)
            return await _unless_left(request, self._answer(asked))
        except ProviderError as e:
            return _error(e)

    async def count(self, request: Request) -> Response:
        """Count the input tokens of a message."""
        try:
            asked = await self._asked(request)
            tokens = await asyncio.to_thread(self._engine.count, asked)
        except ProviderError as e:
            return _error(e)
        except RecursionError:
            return _error(ProviderError(400, "the body is nested too deeply"))
        return JSONResponse({"input_tokens": tokens})

    async def embeddings(self, request: Request) -> Response:
        """Answer with embeddings, in OpenAI's form; an error has Anthropic's, as the proxy reads it."""
        try:
            setup = self._admit(request)
            asked = embeddings_request(await request.body())
            work = self._engine.embed(_question(request, setup, {}), asked)
            return await _unless_left(request, _as_response(work))
        except RequestError as e:
            return _error(ProviderError(e.status, str(e)))
        except ProviderError as e:
            return _error(refused_model(e))

    def _admit(self, request: Request) -> Setup:
        """Return the setup of a request that has the secret. Raises `ProviderError`."""
        setup = self._setup()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not Secret(setup.secret).matches(token):
            raise ProviderError(403, "the translator serves its own proxy only")
        return setup

    async def _asked(self, request: Request) -> Question:
        """Check the secret and read the body. Raises `ProviderError`."""
        setup = self._admit(request)
        try:
            body = _read(await request.body())
        except (ValueError, RecursionError) as e:
            raise ProviderError(400, "the body is not valid JSON") from e
        if not isinstance(body, dict):
            raise ProviderError(400, "the body is no JSON object")
        return _question(request, setup, self._signatures.restored(body))

    async def _answer(self, asked: Question) -> Response:
        """Answer a message. A request that is refused with a PDF in it is asked once more with the text of that."""
        answer = self._streamed if asked.body.get("stream") else self._whole
        adapted = await self._engine.adapted(asked)
        try:
            return await answer(asked, adapted)
        except ProviderError as e:
            if e.status not in REFUSALS or not pdfs_in(adapted.request):
                raise
            return await answer(asked, await self._engine.adapted(asked, documents=False))

    async def _whole(self, asked: Question, adapted: Adapted) -> Response:
        answer = await self._engine.ask(asked, adapted.request)
        message = whole(
            answer,
            _message_id(),
            asked.answers_as,
            adapted.tool_names,
            ids_in(asked.body.get("messages")),
        )
        if message is None:
            raise _empty(asked)
        self._signatures.learn(signatures_in(message["content"]))
        if not asked.thinks:
            message["content"] = [each for each in message["content"] if not is_wordless(each)]
        return JSONResponse(message, headers=_notes(adapted))

    async def _streamed(self, asked: Question, adapted: Adapted) -> Response:
        """Return a stream once its first event is there: until then, a failure has a status of its own."""
        ids = ids_in(asked.body.get("messages"))
        stream = ProviderStream(
            _message_id(), asked.answers_as, adapted.tool_names, ids, asked.thinks
        )
        events = self._engine.stream(asked, adapted.request)
        first = b""
        try:
            while not first and not stream.done:
                first = stream.feed(await anext(events))
        except StopAsyncIteration:
            pass
        except BaseException:
            await _close(events)
            raise
        if not first:
            await _close(events)
            raise _empty(asked)
        body = self._body(first, stream, events)
        return StreamingResponse(body, headers=_notes(adapted), media_type="text/event-stream")

    async def _body(
        self, first: bytes, stream: ProviderStream, events: AsyncIterator[Json]
    ) -> AsyncIterator[bytes]:
        """Yield the events, and a comment after `keep_alive` seconds of silence, as while a tool's input is written."""
        clock = asyncio.get_running_loop().time
        waiting = asyncio.ensure_future(anext(events, None))
        try:
            yield first
            comment_at = clock() + self._keep_alive
            while not stream.done:
                await asyncio.wait((waiting,), timeout=max(0.0, comment_at - clock()))
                data = b""
                if waiting.done():
                    data = _fed(stream, waiting)
                    self._signatures.learn(stream.signatures)
                    waiting = asyncio.ensure_future(anext(events, None))
                if data or clock() >= comment_at:
                    yield data or COMMENT
                    comment_at = clock() + self._keep_alive
        finally:
            await _cancelled(waiting)
            await _close(events)


def _question(request: Request, setup: Setup, body: Json) -> Question:
    provider = unquote(request.headers.get(PROVIDER_HEADER, ""))
    model = unquote(request.headers.get(MODEL_HEADER, ""))
    return Question(provider, model, setup.access(provider), body)


async def _as_response(body: Awaitable[bytes]) -> Response:
    return Response(await body, media_type="application/json")


def _read(body: bytes) -> Any:
    """Return the JSON in `body`, with `?` for halves of surrogate pairs, which can't be sent on in UTF-8."""
    read = json.loads(body, parse_constant=_no_number)
    if not _SURROGATE.search(body):
        return read
    return json.loads(json.dumps(read, ensure_ascii=False).encode("utf-8", "replace"))


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _notes(adapted: Adapted) -> dict[str, str]:
    return {NOTE_HEADER: quote("; ".join(adapted.notes))} if adapted.notes else {}


def _fed(stream: ProviderStream, arrived: asyncio.Future[Json | None]) -> bytes:
    try:
        event = arrived.result()
    except Exception as e:
        logger.warning("a stream broke off: %s", type(e).__name__)
        return stream.cut()
    return stream.cut() if event is None else stream.feed(event)


def _error(error: ProviderError) -> Response:
    headers = {"retry-after": error.retry_after} if error.retry_after else {}
    if error.mendable:
        headers[MENDABLE.decode()] = "1"
    body = error_body(error.error_type, error.message)
    return Response(body, error.status, headers, media_type="application/json")


def _empty(asked: Question) -> ProviderError:
    return ProviderError(502, f"{asked.provider} gave an empty answer")


def _message_id() -> str:
    return f"msg_nl_{secrets.token_hex(10)}"


async def _unless_left(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Return the response of `work`. Cancel it when the client leaves, so that nobody pays for what nobody reads."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(
        request.receive()
    )  # the body was read: only a disconnect can come
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else Response(status_code=499)
    finally:
        await _cancelled(leaving)
        await _cancelled(working)


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel the task and wait for its end: an iterator can't be closed while its next item is awaited."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # else asyncio logs that nobody retrieved it


async def _close(events: AsyncIterator[Json]) -> None:
    """Close the iterator, and with it the request to the provider."""
    if close := getattr(events, "aclose", None):
        await close()
