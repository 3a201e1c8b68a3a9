from __future__ import annotations

from dataclasses import replace

from mitmproxy import http

from neurolink_mitm.core.exchange import Attempt, Exchange, Step
from neurolink_mitm.core.failover.errors import RATE_LIMIT, Failure, FailureStage
from neurolink_mitm.core.failover.plan import MAX_REFRESHES, final_step
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.windows import FIVE_HOURS, SEVEN_DAYS
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.endpoints import is_inference
from neurolink_mitm.dataplane.hooks import exchange_of, final_response, save_response
from neurolink_mitm.ports import Runtime


class Failover:
    """Books the result of an attempt for its account, and asks the failover plan for the next action."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._renewed_in_vain: dict[str, Secret] = {}
        """By account key, the refreshed token that an endpoint other than messages still refused."""

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        attempt = exchange.attempt if exchange else None
        if exchange is None or attempt is None or attempt.failure is None:
            return
        failure = self._placed(exchange, attempt, attempt.failure)
        self._book(exchange, attempt, failure)
        if failure.stage is FailureStage.STATUS and flow.response:
            save_response(flow, flow.response)
        exchange.step = self._next(exchange, failure)
        flow.response = final_response(flow, exchange)

    def _placed(self, exchange: Exchange, attempt: Attempt, failure: Failure) -> Failure:
        """Return the failure with whether a refresh may help, and whether it concerns the account."""
        account = attempt.account
        if account is None:
            return failure
        beside = not is_inference(exchange.endpoint)
        if beside and attempt.step and attempt.step.refresh:
            self._renewed_in_vain[account.key] = account.secret
        spent = beside and self._renewed_in_vain.get(account.key) == account.secret
        left = exchange.refreshes < (1 if beside else MAX_REFRESHES) and not spent
        return replace(
            failure,
            refreshable=account.refreshable and left,
            other_endpoint=beside and not account.has_ended(self.runtime.clock.now()),
        )

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None or not exchange.served or flow.response is None:
            return
        attempt = exchange.attempts[-1]
        attempt.status = flow.response.status_code
        if attempt.account:
            self._see(attempt.account, flow.response, exchange, attempt)

    def _see(
        self, account: Account, answer: http.Response, exchange: Exchange, attempt: Attempt
    ) -> None:
        pool, now, asked = self.runtime.pool, self.runtime.clock.now(), exchange.requirements
        self._see_limits(account, answer.headers.fields, attempt, asked, answer.status_code)
        if answer.status_code < 300:
            pool.succeeded(account.key, asked, sent_at=attempt.sent_at, now=now)

    def _see_limits(
        self,
        account: Account,
        fields: headers.Fields,
        attempt: Attempt,
        asked: Requirements,
        status: int | None,
    ) -> None:
        pool, now = self.runtime.pool, self.runtime.clock.now()
        if quota := pool.update_quota(account.key, fields, now, asked=asked, status=status):
            attempt.utilization_5h = quota.used(FIVE_HOURS)
            attempt.utilization_7d = quota.used(SEVEN_DAYS)

    def response(self, flow: http.HTTPFlow) -> None:
        save_response(flow, None)
        exchange = exchange_of(flow)
        attempt = exchange.attempt if exchange else None
        if exchange and attempt and attempt.ended_at is None:
            limited = exchange.reader is not None and exchange.reader.error == RATE_LIMIT
            self._end(attempt, sent=attempt.sent, limited=limited)

    error = response

    def _end(self, attempt: Attempt, *, sent: bool = True, limited: bool = False) -> None:
        if attempt.account:
            key, sent_at = attempt.account.key, attempt.sent_at
            self.runtime.pool.ended(key, sent_at=sent_at, sent=sent, limited=limited)

    def _book(self, exchange: Exchange, attempt: Attempt, failure: Failure) -> None:
        now = self.runtime.clock.now()
        attempt.failure, attempt.status, attempt.ended_at = failure, failure.status, now
        attempt.upstream_request_id = headers.name_in(failure.headers, b"request-id")
        self._end(attempt)
        if attempt.account:
            asked = exchange.requirements
            self._see_limits(attempt.account, failure.headers, attempt, asked, failure.status)
            result = self.runtime.pool.failed(
                attempt.account.key,
                asked,
                failure,
                sent_at=attempt.sent_at,
                now=now,
            )
            attempt.cooldown = result.seconds
            attempt.backoff_level = result.level
            attempt.retry_after = result.retry_after
            attempt.reason = result.reason

    @staticmethod
    def _next(exchange: Exchange, failure: Failure) -> Step:
        return exchange.plan.send(failure) if exchange.plan else final_step([failure])
