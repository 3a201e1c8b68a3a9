"""`GET` and `DELETE` of stored responses, and the list of their input items.

https://platform.openai.com/docs/api-reference/responses/get
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.responses.stored import Memory, StoredTurn

_ABOVE = "/v1/responses/"
_MOST = 100
"""Items of a page."""
_PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs"}
"""Of the ids that OpenAI gives to items, by type."""


def is_retrieval(method: str, target: str) -> bool:
    """Tell whether a request is for a stored response."""
    return method in ("GET", "DELETE") and target.startswith(_ABOVE)


def retrieve(memory: Memory, client: str, method: str, target: str, now: float) -> bytes:
    """Return the JSON that answers a request below `/v1/responses/`. Raises `RequestError`."""
    path, _, query = target.partition("?")
    response_id, _, below = path.removeprefix(_ABOVE).partition("/")
    response_id = unquote(response_id)
    if (method, below) == ("DELETE", ""):
        if not memory.delete(client, response_id, now):
            raise _not_found(response_id)
        return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})
    if method != "GET" or below not in ("", "input_items"):
        raise RequestError(f"Unknown request URL: {method} {path[:200]}", status=404)
    turn = memory.turn(client, response_id, now)
    if turn is None:
        raise _not_found(response_id)
    parameters = dict(parse_qsl(query))
    if below:
        return _page(input_items(turn), parameters)
    if parameters.get("stream", "").lower() == "true":
        raise RequestError("a stored response is not streamed again", "stream", UNSUPPORTED)
    return turn.response


def input_items(turn: StoredTurn) -> list[dict[str, Any]]:
    """Return the input items of a turn in their full form, each with an id."""
    decoded = msgspec.json.decode(turn.input)
    items = [{"role": "user", "content": decoded}] if isinstance(decoded, str) else decoded
    return [_full(item, f"{turn.id} {at}") for at, item in enumerate(items)]


def _full(item: dict[str, Any], seed: str) -> dict[str, Any]:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    made = hashlib.sha256(seed.encode()).hexdigest()[:32]
    full = {"id": f"{_PREFIXES.get(kind, 'item')}_{made}", "type": kind, **_present(item)}
    if kind == "message":
        full.setdefault("status", "completed")
        if isinstance(full.get("content"), str):
            full["content"] = [_text(full)]
    return full


def _present(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


def _text(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("role") == "assistant":
        return {"type": "output_text", "text": message["content"], "annotations": []}
    return {"type": "input_text", "text": message["content"]}


def _page(items: Sequence[dict[str, Any]], query: dict[str, str]) -> bytes:
    """Return a page of a list, by the parameters `limit`, `order` and `after`."""
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RequestError("`order` is `asc` or `desc`", "order")
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= _MOST):
        raise RequestError(f"`limit` is a number from 1 to {_MOST}", "limit")
    ordered = list(items if order == "asc" else reversed(items))
    if after := query.get("after"):
        ids = [item["id"] for item in ordered]
        if after not in ids:
            raise RequestError("no item has the id in `after`", "after")
        ordered = ordered[ids.index(after) + 1 :]
    page = ordered[: int(limit)]
    ends = [page[0]["id"], page[-1]["id"]] if page else [None, None]
    listed = {"object": "list", "data": page, "first_id": ends[0], "last_id": ends[1]}
    return msgspec.json.encode({**listed, "has_more": len(ordered) > len(page)})


def _not_found(response_id: str) -> RequestError:
    return RequestError(f"Response with id {response_id[:100]!r} not found.", status=404)
