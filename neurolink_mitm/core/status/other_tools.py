"""Who serves tools that speak OpenAI's API, in a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.settings.values import Routing
from neurolink_mitm.core.status.explain import preview_route

NAME = "gpt-5"
"""A name as such tools ask for by default."""


def other_tools(
    accounts: Sequence[Account], fallbacks: Sequence[Account], routing: Routing, now: float
) -> str:
    """Return who would serve them where nothing is cooling, and what is missing where nobody would."""
    pool = Pool(accounts, fallbacks=fallbacks, budget=Budget(routing.pay_per_use))
    key, refusal = _target(pool, routing, None, now)
    named, _ = _target(pool, routing, NAME, now)
    if not key and not named:
        return f"tools that speak OpenAI's API are not served: {refusal}"
    served = f"claude-* by {key}" if key else f"no claude-* ({refusal})"
    hint = f"{NAME} is not served until routing.model-mappings has a row for gpt-*"
    return f"tools that speak OpenAI's API: {served}; {f'{NAME} by {named}' if named else hint}"


def _target(
    pool: Pool, routing: Routing, model: str | None, now: float
) -> tuple[str | None, str | None]:
    """Return the key of the target that serves such a request, and what the client is told where none does."""
    route = preview_route(pool, routing, Requirements(model=model), now)["route"]
    assert isinstance(route, dict)
    return route["next"], route["message"]
