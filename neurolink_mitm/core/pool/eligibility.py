"""Which accounts may serve a request now, why not, and when they recover."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from neurolink_mitm.core.pool.account_state import Ineligible, out_of_use
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.members import Members


class Eligibility(Members):
    """Tells of each account whether its state, its settings and the budget allow a request."""

    def ineligible(self, requirements: Requirements, now: float) -> dict[str, Ineligible]:
        """Return the accounts that may not serve such a request now, by key."""
        return self._ineligible(self.accounts, requirements, now)

    def ineligible_fallbacks(
        self, keys: Collection[str], requirements: Requirements, now: float
    ) -> dict[str, Ineligible]:
        """Return those of the fallbacks `keys` that may not serve such a request now, in the order of `keys`."""
        anybody = _of_fallbacks(requirements)
        there = {account.key: account for account in self.fallbacks}
        fallbacks = (there[key] for key in keys if key in there)
        return self._ineligible(fallbacks, anybody, now)

    def recoveries(
        self, requirements: Requirements, now: float, fallbacks: Collection[str] = ()
    ) -> dict[str, float]:
        """Return when each account that can't serve such a request now will recover by itself, by key.

        Nobody waits for a login, for what is not enabled, or for a cap. An account whose window is used up recovers
        with its reset, though it may be tried before that. `fallbacks` are the keys of those that count.
        """
        anybody = _of_fallbacks(requirements)
        targets = [(account, requirements) for account in self.accounts]
        targets += [(each, anybody) for each in self.fallbacks if each.key in fallbacks]
        recoveries = ((each.key, self._recovery(each, of, now)) for each, of in targets)
        return {key: at for key, at in recoveries if at is not None}

    def _recovery(self, account: Account, requirements: Requirements, now: float) -> float | None:
        model, endpoint, state = (
            requirements.model,
            requirements.endpoint,
            self._states[account.key],
        )
        reason = state.ineligible(account, model, requirements.claude_code, now, endpoint)
        at = reason.until if reason else state.resets_at(model, endpoint, now)
        if at is None or out_of_use(account, at) or self._over_budget(account, requirements, now):
            return None
        return at

    def _ineligible(
        self, targets: Iterable[Account], requirements: Requirements, now: float
    ) -> dict[str, Ineligible]:
        reasons = ((each.key, self._reason(each, requirements, now)) for each in targets)
        return {key: reason for key, reason in reasons if reason}

    def _reason(
        self, account: Account, requirements: Requirements, now: float
    ) -> Ineligible | None:
        """Return why `account` may not serve such a request now; None if it may."""
        return self._states[account.key].ineligible(
            account, requirements.model, requirements.claude_code, now, requirements.endpoint
        ) or self._over_budget(account, requirements, now)

    def _over_budget(
        self, account: Account, requirements: Requirements, now: float
    ) -> Ineligible | None:
        return self.budget.ineligible(
            account,
            now,
            beside_subscription=self._has_subscription or not account.is_anthropic,
            metering=requirements.metering,
            client_capped=requirements.client_capped,
        )


def _of_fallbacks(requirements: Requirements) -> Requirements:
    """Return what the request requires of fallbacks: they serve every client, and are a model themselves."""
    return replace(requirements, claude_code=False, model=None, session=None)
