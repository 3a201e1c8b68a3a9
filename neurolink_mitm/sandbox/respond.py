"""A reply and its content as an ASGI response, with the headers that Anthropic's answers have."""

from starlette.requests import Request
from starlette.responses import Response

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.content import JSON, Content
from neurolink_mitm.sandbox.errors import error_body, type_of
from neurolink_mitm.sandbox.limits import rate_limit_headers
from neurolink_mitm.sandbox.playback import Head, Playback, acts
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.state import Sandbox

Headers = dict[str, str]

ORGANIZATION = "5a4d0b0c-0000-4000-8000-000000000001"


def received(request: Request) -> Received:
    """What `intake` has recorded of it."""
    found: Received = request.state.received
    return found


def played(sandbox: Sandbox, request: Received, reply: Reply, content: Content) -> Playback:
    headers = {"content-type": content.type}
    if content.length is not None:
        headers["content-length"] = str(content.length)
    else:
        headers["cache-control"] = "no-cache"
    # the API behind Cloudflare hasn't seen a request that is answered with a page
    headers |= _cloudflare() if reply.html else _usual(sandbox, request, content.status)
    headers |= {name.lower(): value for name, value in reply.headers.items()}
    raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items() if v]
    return Playback(acts(reply, Head(content.status, raw), content), request, sandbox.recorder)


def refusal(sandbox: Sandbox, request: Received, status: int, message: str) -> Response:
    """An error that no script asked for."""
    body = error_body(type_of(status), message, request.request_id)
    return Response(body, status, _usual(sandbox, request, status), media_type=JSON)


def _usual(sandbox: Sandbox, request: Received, status: int) -> Headers:
    headers = {"request-id": request.request_id, "anthropic-organization-id": ORGANIZATION}
    if request.account is not None:
        account = sandbox.account(request.account)
        headers |= rate_limit_headers(account, status == 429, sandbox.clock())
    return headers


def _cloudflare() -> Headers:
    return {"server": "cloudflare", "cf-ray": "8f2c0d1e2b3a4f5d-FRA"}
