"""The outermost layer: reads a request to its end, records it, and what is sent for an answer."""

import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neurolink_mitm.sandbox.recorder import Received, Recorder

MAX_BODY = 32 * 1024 * 1024  # https://docs.anthropic.com/en/api/errors#request-size-limits


class Intake:
    """Leaves the `Received` in `scope["state"]`. Control requests are not recorded."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _received(scope)
        scope["state"]["received"] = request
        if request.path.startswith("/sandbox/"):
            await self._app(scope, receive, send)
            return
        self._recorder.received(request)
        try:
            if await self._read(request, receive):
                await self._app(scope, receive, self._recorded(request, send))
            else:
                self._recorder.left(request)
        finally:
            self._recorder.finished(request)

    async def _read(self, request: Received, receive: Receive) -> bool:
        """False if the client left before the end of the body."""
        chunks: list[bytes] = []
        more, size = True, 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            size += len(message["body"])
            chunks.append(message["body"])
            if size > MAX_BODY:
                # read to its end all the same, or the client couldn't read the 413
                chunks.clear()
            more = message["more_body"]
        request.body = b"".join(chunks)
        request.too_large = size > MAX_BODY
        return not more

    def _recorded(self, request: Received, send: Send) -> Send:
        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._recorder.head_sent(request, message["status"])
            elif data := message.get("body"):
                self._recorder.body_sent(request, data)
            await send(message)

        return recorded


def _received(scope: Scope) -> Received:
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"] + (b"?" + query if query else b"")
    return Received(
        method=scope["method"],
        path=path.decode("latin-1"),
        headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]],
        time=time.monotonic(),
        request_id=new_id("req_01"),
    )


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(11)
