"""The endpoint where a login creates an API key, as `claude` does for accounts of the Console."""

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from neurolink_mitm.sandbox.auth import bearer_owner
from neurolink_mitm.sandbox.content import instead, whole
from neurolink_mitm.sandbox.playback import Playback
from neurolink_mitm.sandbox.respond import played, received
from neurolink_mitm.sandbox.state import KEY_ENDPOINT, Sandbox

PATH = "/api/oauth/claude_cli/create_api_key"


def key_routes(sandbox: Sandbox) -> list[Route]:
    async def create(request: Request) -> Playback:
        """Raises ApiError."""
        asked = received(request)
        owner = bearer_owner(request.headers, sandbox)
        reply = sandbox.next_reply(KEY_ENDPOINT)
        content = instead(reply, False, asked.request_id)
        if content is None:
            key = sandbox.create_key(owner)
            content = whole(reply, msgspec.json.encode({"raw_key": key}))
        return played(sandbox, asked, reply, content)

    return [Route(PATH, create, methods=["POST"])]
