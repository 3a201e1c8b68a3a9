from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.cost.client_limits import over_cap
from neurolink_mitm.core.exchange import Attempt, Exchange, Hold, Kind, Plan, Reconsider, Reply, Try
from neurolink_mitm.core.failover import plan as failover
from neurolink_mitm.core.failover.hold import behind, hold_seconds, hold_step, may_be_held
from neurolink_mitm.core.failover.ineligible import all_ineligible
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.ramp import Patience
from neurolink_mitm.core.providers.destinations import THE_POOL
from neurolink_mitm.dataplane.hooks import exchange_of, final_response
from neurolink_mitm.ports import Runtime


class Rotate:
    """Sets the account of each attempt: the first by the pool, later ones by the failover plan."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        attempt = exchange.attempt if exchange else None
        if exchange is None or attempt is None:
            return
        if exchange.kind is Kind.FORWARD:
            self._begin(exchange, attempt, None)
            return
        if exchange.plan is None:
            exchange.plan = self._plan(exchange)
        held = isinstance(exchange.step, Hold)
        if not isinstance(exchange.step, Try):  # the first attempt, or the first after a pause
            exchange.step = next(exchange.plan)
        elif self._is_taken(exchange, exchange.step.account.key):
            exchange.step = exchange.plan.send(Reconsider())
        if isinstance(exchange.step, Try) and not exchange.attempts:
            exchange.step = self._over_cap(exchange) or exchange.step
        if isinstance(exchange.step, Try):
            self._begin(exchange, attempt, exchange.step, held=held)
            return
        if isinstance(exchange.step, Reply):
            exchange.why = exchange.step.message
        flow.response = final_response(flow, exchange)

    def _is_taken(self, exchange: Exchange, key: str) -> bool:
        """Return whether the account that was chosen when the last attempt failed is not free any more."""
        same = exchange.account is not None and exchange.account.key == key
        return not same and not self.runtime.pool.admits(
            key, exchange.requirements, self.runtime.clock.now()
        )

    def _over_cap(self, exchange: Exchange) -> Reply | None:
        """Return the reply where the client has used up its cap since its request came: it may have been held."""
        key, now = exchange.client_key, self.runtime.clock.now()
        return over_cap(key, exchange.metering, self.runtime.pool.budget, now) if key else None

    def _begin(
        self, exchange: Exchange, attempt: Attempt, step: Try | None, *, held: bool = False
    ) -> None:
        attempt.step, attempt.sent_at = step, self.runtime.clock.now()
        if step:
            key, pool = step.account.key, self.runtime.pool
            attempt.account = pool.newest(step.account)
            moved = any(each.account and each.account.key != key for each in exchange.attempts)
            pool.began(key, exchange.requirements, attempt.sent_at, moved=moved or held)

    def _choose(
        self, requirements: Requirements, now: float, tried: set[str], waits: bool, asks: bool
    ) -> Choice:
        """Return the pool's choice. Of replicas, one probes an account that has cooled down.

        A request that `asks` waits to hear whether this one does, for milliseconds; else it takes another account.
        Where that is not heard in time, it probes only if no other account serves it.
        """
        pool, probes = self.runtime.pool, self.runtime.probes
        choice = pool.choose(requirements, now, tried, waits=waits)
        last_resort: Choice | None = None
        late: set[str] = set()
        for _ in pool.accounts if probes and waits else ():
            account = choice.account
            if account is None or probes is None:
                break
            until = probes.denied_until(account.key, requirements, now)
            if until is None and not probes.is_late(account.key, requirements):
                break
            if until is None:
                last_resort = last_resort or choice
                late.add(account.key)
            elif asks:
                waits_for = f"the right to probe {account.key}"
                return Choice(None, pool.strategy, {}, 0, until, waits_for, awaits=account.key)
            choice = pool.choose(requirements, now, tried | late, waits=waits)
        return choice if choice.account or not last_resort else last_resort

    def _plan(self, exchange: Exchange) -> Plan:
        pool, clock, requirements = self.runtime.pool, self.runtime.clock, exchange.requirements
        route = exchange.route or THE_POOL
        now, patience, has_asked = exchange.began_at, Patience(), False

        def hold() -> Hold | None:
            if not may_be_held(exchange) or not self.runtime.waiting.has_room(exchange):
                return None
            general, clients = self.runtime.config.routing.hold, self.runtime.clients
            left = hold_seconds(exchange, general, clients) - exchange.age
            return hold_step(pool, requirements, route, now, left)

        def choose(tried: set[str]) -> Choice:
            nonlocal now, has_asked
            now = clock.now()
            if not route.pool:
                return failover.no_choice(tried)
            first, waits = None, patience.lasts(now)
            if waits and not tried:
                first = behind(pool, self.runtime.waiting, exchange, now, patience.until(now))
            choice = first or self._choose(requirements, now, tried, waits, not has_asked)
            has_asked = has_asked or bool(choice.awaits)
            if choice.wait_until is not None:
                patience.wait(now)
            return choice

        return failover.failover_plan(
            choose,
            # as of the moment at which no account could be chosen: one may be back a moment later
            lambda errors: all_ineligible(pool, requirements, now, route, errors),
            jitter=self.runtime.random_source.jitter(),
            repeatable=exchange.repeatable,
            choose_fallback=lambda tried: pool.choose_fallback(
                route.entries, requirements, clock.now(), tried
            ),
            hold=hold,
        )
