"""LiteLLM in a process of its own: a line of JSON in is a request, a line of JSON out its outcome.

In:  `{"settings": {…of the module…}, "arguments": {…for litellm.anthropic.messages.acreate…}}`, and
to leave after n items either `"cancel_after": n`, while waiting for the next, or `"close_after": n`.
Out: `{"message": {…}}`, or `{"stream": "…", "items": […types…], "times": […]}` with what was streamed
and when (seconds since the request), and in both cases `{"error": {"class", "status", "message",
"headers"}}` where an exception came instead or after.

Never imported by the tests: LiteLLM is heavy, and warns.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

LIMIT = 60.0
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
        outcome = await _outcome(litellm, job)
        print(json.dumps(outcome), file=out, flush=True)


async def _outcome(litellm: Any, job: dict[str, Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    begun = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT):
            answer = await litellm.anthropic.messages.acreate(**job["arguments"])
            if hasattr(answer, "__aiter__"):
                await _collect(answer, outcome, begun, job)
            else:
                outcome["message"] = json.loads(json.dumps(answer, default=_plain))
    except Exception as e:
        outcome["error"] = _error(e)
    return outcome


async def _collect(answer: Any, outcome: dict[str, Any], begun: float, job: dict[str, Any]) -> None:
    outcome |= {"stream": "", "items": [], "times": []}
    items = aiter(answer)
    while True:
        if len(outcome["items"]) == job.get("close_after"):
            await answer.aclose()
            return
        following = asyncio.ensure_future(anext(items, None))
        if len(outcome["items"]) == job.get("cancel_after"):
            await asyncio.sleep(0.1)  # it waits by now, or the test's pause is too short
            following.cancel()
            await asyncio.wait((following,))
            return
        item = await following
        if item is None:
            return
        _add(item, outcome, begun)


def _add(item: Any, outcome: dict[str, Any], begun: float) -> None:
    whole = isinstance(item, bytes) and item.endswith(b"\n\n") and item.count(b"\n\n") == 1
    outcome["items"].append(type(item).__name__ if whole else f"{type(item).__name__} in part")
    outcome["times"].append(time.monotonic() - begun)
    outcome["stream"] += item.decode() if isinstance(item, bytes) else json.dumps(item)


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else repr(value)


def _error(error: Exception) -> dict[str, Any]:
    headers = getattr(error, "litellm_response_headers", None)
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "message": str(error),
        "headers": dict(headers) if headers else None,
    }


if __name__ == "__main__":
    main()
