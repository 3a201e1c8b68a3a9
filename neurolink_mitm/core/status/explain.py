"""What would become of a request: who takes it, who does not and why, or what the client would be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neurolink_mitm.core.cost.budget import Charge
from neurolink_mitm.core.failover import plan as failover
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Choice, Pool, Requirements
from neurolink_mitm.core.providers import destinations, models
from neurolink_mitm.core.providers.destinations import Route
from neurolink_mitm.core.request.endpoints import COUNT_TOKENS
from neurolink_mitm.core.settings.values import Routing

NOT_SERVED = "no route"
"""The rule by which a model is a 404."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is next; else what the client is told."""

    account: Account | None = None
    status: int | None = None
    message: str | None = None


def explain(pool: Pool, requirements: Requirements, now: float) -> list[dict[str, object]]:
    """For each account whether the next such request would use it, and why not."""
    choice = pool.preview(requirements, now)
    return [_explained(account, choice) for account in pool.accounts]


def way(pool: Pool, routing: Routing, requirements: Requirements, now: float) -> dict[str, object]:
    """`explain` of /status: each account and each model of another provider on the way; and `route`, what comes of it.

    `demand.model` is what the client asks for; None is any model of Anthropic's that no mapping names.
    """
    route = _route(requirements.model, routing)
    if route is None:
        assert requirements.model is not None
        refusal = models.not_served(requirements.model, routing)
        verdict = counted = Verdict(status=refusal.status, message=refusal.message)
        rows = [_passed(account, NOT_SERVED) for account in pool.accounts]
        return {
            "explain": rows,
            "route": _told(requirements.model, None, NOT_SERVED, verdict, counted),
        }
    mapped = replace(requirements, model=route.model or None)
    verdict = _verdict(pool, route, mapped, now)
    counted = _verdict(pool, route, replace(mapped, endpoint=COUNT_TOKENS, charge=Charge.FREE), now)
    rows = [*_accounts(pool, route, mapped, now), *_others(pool, route, mapped, verdict, now)]
    told = _told(requirements.model, route.model or None, route.rule, verdict, counted)
    return {"explain": rows, "route": told}


def forwarded(pool: Pool, model: str | None) -> dict[str, object]:
    """The same of a proxy that only passes on what comes, with the caller's own credentials."""
    rows = [_passed(account, "passthrough") for account in pool.accounts]
    verdict = Verdict(message="goes on as it came, with the caller's own credentials")
    return {"explain": rows, "route": _told(model, model, "passthrough", verdict, verdict)}


def _route(model: str | None, routing: Routing) -> Route | None:
    if model is not None:
        return destinations.route(model, routing)
    return Route("any model", "", entries=destinations.chain(routing))


def _verdict(pool: Pool, route: Route, requirements: Requirements, now: float) -> Verdict:
    choice = pool.preview(requirements, now) if route.pool else failover.nobody(set())
    account = choice.account or pool.choose_other(route.entries, requirements, now).account
    if account:
        return Verdict(account)
    reply = failover.refusal(pool, requirements, now, route)
    return Verdict(status=reply.status, message=reply.message) if reply else Verdict()


def _accounts(
    pool: Pool, route: Route, requirements: Requirements, now: float
) -> Iterator[dict[str, object]]:
    if route.pool:
        yield from explain(pool, requirements, now)
    else:
        yield from (_passed(account, route.rule) for account in pool.accounts)


def _others(
    pool: Pool, route: Route, requirements: Requirements, verdict: Verdict, now: float
) -> Iterator[dict[str, object]]:
    ineligible = pool.ineligible_fallbacks(route.entries, requirements, now)
    known = {account.key: account for account in pool.others}
    first = None if route.pool else route.entries[0]
    for key in route.entries:
        if account := known.get(key):
            taken = verdict.account is not None and verdict.account.key == key
            rule = route.rule if key == first else "fallback-chain"
            yield _row(
                account, taken, rule if taken else "usable, after those above", ineligible.get(key)
            )


def _explained(account: Account, choice: Choice) -> dict[str, object]:
    taken = choice.account is not None and account.key == choice.account.key
    reason = choice.rule if taken else f"usable, but not next by {choice.rule}"
    return _row(account, taken, reason, choice.skipped.get(account.key))


def _passed(account: Account, rule: str) -> dict[str, object]:
    return _row(account, False, "", Ineligible(f"not asked: {rule}"))


def _row(account: Account, taken: bool, reason: str, skip: Ineligible | None) -> dict[str, object]:
    return {
        "key": account.key,
        "label": account.label,
        "next": taken,
        "usable": skip is None,
        "reason": skip.reason if skip else reason,
        "until": iso(skip.until) if skip and skip.until is not None else None,
    }


def _told(
    asked: str | None, model: str | None, rule: str, verdict: Verdict, counted: Verdict
) -> dict[str, object]:
    return {
        "asked": asked,
        "model": _model(verdict, model),
        "rule": rule,
        **_outcome(verdict),
        "countTokens": _outcome(counted),
    }


def _model(verdict: Verdict, model: str | None) -> str | None:
    """What the one who is next is asked for."""
    other = verdict.account and not verdict.account.is_anthropic
    return (verdict.account.model or model) if verdict.account and other else model


def _outcome(verdict: Verdict) -> dict[str, object]:
    return {
        "next": verdict.account.key if verdict.account else None,
        "status": verdict.status,
        "message": verdict.message,
    }
