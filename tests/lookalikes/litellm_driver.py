"""LiteLLM in a process of its own: a line of JSON in is a request, a line of JSON out its outcome.

In:  `{"settings": {…of the module…}, "arguments": {…for litellm.anthropic.messages.acreate…}}`
Out: `{"message": {…}}`, or `{"stream": "…", "items": […types…]}` with what was streamed, and in both
cases `{"error": {"class", "status", "message", "headers"}}` where an exception came instead or after.

Never imported by the tests: LiteLLM is heavy, and warns.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

LIMIT = 20.0
"""Seconds that a request may take."""


def main() -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # LiteLLM prints advice
    import litellm

    litellm.suppress_debug_info = True
    asyncio.run(_serve(litellm, out))


async def _serve(litellm: Any, out: Any) -> None:
    print(json.dumps({"ready": True}), file=out, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        job = json.loads(line)
        for name, value in job.get("settings", {}).items():
            setattr(litellm, name, value)
        outcome = await _outcome(litellm, job["arguments"])
        print(json.dumps(outcome), file=out, flush=True)


async def _outcome(litellm: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    try:
        async with asyncio.timeout(LIMIT):
            answer = await litellm.anthropic.messages.acreate(**arguments)
            if isinstance(answer, AsyncIterator) or hasattr(answer, "__aiter__"):
                await _collect(answer, outcome)
            else:
                outcome["message"] = json.loads(json.dumps(answer, default=_plain))
    except Exception as e:
        outcome["error"] = _error(e)
    return outcome


async def _collect(answer: Any, outcome: dict[str, Any]) -> None:
    outcome |= {"stream": "", "items": [], "kind": type(answer).__name__}
    async for item in answer:
        whole = isinstance(item, bytes) and item.endswith(b"\n\n") and item.count(b"\n\n") == 1
        outcome["items"].append(type(item).__name__ if whole else f"{type(item).__name__} in part")
        outcome["stream"] += item.decode() if isinstance(item, bytes) else json.dumps(item)


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else repr(value)


def _error(error: Exception) -> dict[str, Any]:
    headers = getattr(error, "litellm_response_headers", None)
    response = getattr(error, "response", None)
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "message": str(error),
        "headers": dict(headers) if headers else None,
        "response_headers": dict(response.headers) if response is not None else None,
        "cause": repr(error.__cause__)[:300] if error.__cause__ else None,
        "context": repr(error.__context__)[:300] if error.__context__ else None,
    }


if __name__ == "__main__":
    main()
