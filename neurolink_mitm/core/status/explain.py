"""What would happen to a request now: the account that it uses, why others are ineligible, or the reply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neurolink_mitm.core.cost.budget import Metering
from neurolink_mitm.core.failover import plan as failover
from neurolink_mitm.core.failover.hold import first_back, hold_step
from neurolink_mitm.core.failover.ineligible import all_ineligible
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.openai.unserved import not_mapped
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers import destinations, models
from neurolink_mitm.core.providers.destinations import THE_POOL, Route
from neurolink_mitm.core.request.endpoints import BATCHES, COUNT_TOKENS
from neurolink_mitm.core.settings.values import Routing

NOT_SERVED = "no route"
"""The rule for a model that gets a 404."""


@dataclass(frozen=True, slots=True)
class RoutePreview:
    """The target that the next request uses; without one, the reply to the client."""

    account: Account | None = None
    status: int | None = None
    message: str | None = None
    held_until: float | None = None
    """When a request would go on that is held (`routing.hold`), before it gets the reply."""

    def as_json(self) -> dict[str, object]:
        key = self.account.key if self.account else None
        until = None if self.held_until is None else iso(self.held_until)
        return {"next": key, "status": self.status, "message": self.message, "heldUntil": until}


def explain(pool: Pool, requirements: Requirements, now: float) -> list[dict[str, object]]:
    """Return a row for each account: whether the next such request would use it, and why."""
    choice = pool.preview(requirements, now)
    return [_account_row(account, choice) for account in pool.accounts]


def preview_route(
    pool: Pool, routing: Routing, requirements: Requirements, now: float
) -> dict[str, object]:
    """Return `/status?explain`: `explain`, a row for each target on the route, and `route`, the result.

    `requirements.model` is the model that the client asks for; None is any Claude model that no mapping names.
    """
    asked = requirements.model
    route = _route(asked, routing, pool)
    if route is None:
        assert asked is not None
        message = models.not_served(asked, routing).message
        if not requirements.claude_code:
            message = str(not_mapped(asked, models.served(routing)))
        preview = RoutePreview(status=404, message=message)
        rows = [_not_asked(account, NOT_SERVED) for account in pool.accounts]
        return _report(rows, asked, None, NOT_SERVED, preview, preview)
    mapped = replace(requirements, model=route.model or None)
    preview = _preview(pool, route, mapped, now, routing.hold)
    counting = replace(mapped, endpoint=COUNT_TOKENS, metering=Metering.FREE)
    rows = [
        *_account_rows(pool, route, mapped, now),
        *_fallback_rows(pool, route, mapped, preview, now),
    ]
    model = mapped.model
    if preview.account and not preview.account.is_anthropic:
        model = preview.account.model or model
    counted = _preview(pool, route, counting, now, routing.hold)
    uncounted = _uncounted(pool, requirements, now)
    return _report(rows, asked, model, route.rule, preview, counted, uncounted)


def preview_passthrough(pool: Pool, model: str | None) -> dict[str, object]:
    """Return the same for a proxy that forwards requests with the caller's own credentials."""
    rows = [_not_asked(account, "passthrough") for account in pool.accounts]
    preview = RoutePreview(message="goes on as it came, with the caller's own credentials")
    return _report(rows, model, model, "passthrough", preview, preview)


def _route(model: str | None, routing: Routing, pool: Pool) -> Route | None:
    if model is not None:
        return destinations.route(model, routing, pool.fallbacks)
    return Route("any model", "", entries=destinations.chain(routing))


def _preview(
    pool: Pool, route: Route, requirements: Requirements, now: float, hold: float = 0.0
) -> RoutePreview:
    choice = pool.preview(requirements, now) if route.pool else failover.no_choice(set())
    if choice.wait_until is not None:
        return RoutePreview(message=f"waits for {choice.waits_for}")
    account = choice.account or pool.choose_fallback(route.entries, requirements, now).account
    if account:
        return RoutePreview(account)
    reply = all_ineligible(pool, requirements, now, route)
    if reply is None:
        return RoutePreview()
    held = reply.status == 429 and hold_step(pool, requirements, route, now, hold)
    first = first_back(pool, requirements, route, now) if held else None
    return RoutePreview(None, reply.status, reply.message, first.at if first else None)


def _uncounted(pool: Pool, requirements: Requirements, now: float) -> str | None:
    """Return what the client is told of a batch, and of all else whose cost is not told, where a cap is set."""
    if pool.budget.cap is None:
        return None
    asked = replace(requirements, model=None, endpoint=BATCHES, metering=Metering.UNMETERED)
    return _preview(pool, THE_POOL, asked, now).message


def _account_rows(
    pool: Pool, route: Route, requirements: Requirements, now: float
) -> Iterator[dict[str, object]]:
    if route.pool:
        yield from explain(pool, requirements, now)
    else:
        yield from (_not_asked(account, route.rule) for account in pool.accounts)


def _fallback_rows(
    pool: Pool, route: Route, requirements: Requirements, preview: RoutePreview, now: float
) -> Iterator[dict[str, object]]:
    ineligible = pool.ineligible_fallbacks(route.entries, requirements, now)
    fallbacks = {account.key: account for account in pool.fallbacks}
    first = None if route.pool else route.entries[0]
    for key in route.entries:
        if account := fallbacks.get(key):
            taken = preview.account is not None and preview.account.key == key
            rule = route.rule if key == first else "fallback-chain"
            yield _row(
                account, taken, rule if taken else "usable, after those above", ineligible.get(key)
            )


def _account_row(account: Account, choice: Choice) -> dict[str, object]:
    taken = choice.account is not None and account.key == choice.account.key
    passed = f"not next by {choice.rule}"
    if choice.waits_for:
        passed = f"the next request waits for {choice.waits_for}"
    reason = choice.rule if taken else f"usable, but {passed}"
    return _row(account, taken, reason, choice.ineligible.get(account.key))


def _not_asked(account: Account, rule: str) -> dict[str, object]:
    return _row(account, False, "", Ineligible(f"not asked: {rule}"))


def _row(
    account: Account, taken: bool, reason: str, ineligible: Ineligible | None
) -> dict[str, object]:
    until = ineligible.until if ineligible else None
    return {
        "key": account.key,
        "label": account.label,
        "next": taken,
        "usable": ineligible is None,
        "reason": ineligible.reason if ineligible else reason,
        "until": None if until is None else iso(until),
    }


def _report(
    rows: list[dict[str, object]],
    asked: str | None,
    model: str | None,
    rule: str,
    preview: RoutePreview,
    counting: RoutePreview,
    uncounted: str | None = None,
) -> dict[str, object]:
    """`counting` is the preview of the same request to count_tokens."""
    route = {"asked": asked, "model": model, "rule": rule, **preview.as_json()}
    more = {"countTokens": counting.as_json(), "uncounted": uncounted}
    return {"explain": rows, "route": route | more}
