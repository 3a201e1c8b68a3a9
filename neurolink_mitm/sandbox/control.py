"""The control API under `/sandbox/`, for tests of a sandbox in another process."""

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from neurolink_mitm.sandbox.accounts import Account, script_from_json
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.state import Sandbox

MEMBERS = ("method", "path", "headers", "account", "request_id", "status", "disconnected", "done",
           "time")  # fmt: skip
TEXTS = ("body", "answer")
"""The members of a recorded request in JSON."""


def control_routes(sandbox: Sandbox) -> list[Route]:
    control = Control(sandbox)
    return [
        Route("/sandbox/requests", control.requests),
        Route("/sandbox/accounts", control.accounts),
        # a path: the name of the token endpoint's script has a slash
        Route("/sandbox/accounts/{name:path}/script", control.script, methods=["PUT"]),
    ]


class Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def requests(self, request: Request) -> Response:
        return JSONResponse([_request(r) for r in self._sandbox.recorder.requests])

    async def accounts(self, request: Request) -> Response:
        """List the accounts with their current credentials."""
        return JSONResponse([self._account(a) for a in self._sandbox.accounts])

    async def script(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            script = script_from_json(await request.body())
            self._sandbox.script(name, script)
        except (ValueError, KeyError) as e:
            status = 404 if isinstance(e, KeyError) else 400
            return JSONResponse({"error": str(e.args[0])}, status)
        return JSONResponse({"account": name, "steps": len(script.steps), "loop": script.loop})

    def _account(self, account: Account) -> dict[str, Any]:
        common = {
            "name": account.name,
            "kind": account.kind,
            "served": self._sandbox.served(account.name),
        }
        if account.kind == "api_key":
            return {**common, "credential": account.credential}
        access, refresh, until = self._sandbox.tokens.current(account.name)
        left = None if math.isinf(until) else until - self._sandbox.clock()
        return {**common, "credential": access, "refresh_token": refresh, "expires_in": left}


def _request(received: Received) -> dict[str, Any]:
    texts = {name: getattr(received, name).decode(errors="replace") for name in TEXTS}
    return {name: getattr(received, name) for name in MEMBERS} | texts
