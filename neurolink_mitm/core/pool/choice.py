"""What a request requires of an account, which one was chosen for it and why, and what its failure did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neurolink_mitm.core.cost.budget import Metering
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request import endpoints


@dataclass(frozen=True, slots=True)
class Requirements:
    """The properties of a request that decide which accounts may serve it."""

    claude_code: bool = False
    model: str | None = None
    session: str | None = None
    metering: Metering = Metering.METERED
    endpoint: str = endpoints.MESSAGES
    """One of `endpoints.ENDPOINTS`."""
    client_capped: bool = False
    """Whether the client has a daily cap."""


@dataclass(frozen=True, slots=True)
class CooldownResult:
    """What a failure did to its account: a cooldown of `seconds`, 0 for none."""

    seconds: float
    level: int
    retry_after: float | None
    reason: str = field(default="", compare=False)
    """Why the attempt failed, in words."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The account that the next request uses, if any, the rule that chose it, and the ineligible accounts by key."""

    account: Account | None
    rule: str
    ineligible: Mapping[str, Ineligible]
    others: int = 0
    """How many more accounts are ineligible."""
    wait_until: float | None = None
    """Without an account: when (seconds since the epoch) the plan is to choose again at the latest, since one will be
    free soon; None: no account is worth waiting for."""
    waits_for: str = ""
    """What it waits for until then, in words."""
    awaits: str = ""
    """The key of the account that this replica has asked to probe, if the request waits for that."""

    @property
    def why(self) -> str:
        waits = f"waits for {self.waits_for}" if self.waits_for else "no account left"
        taken = f"took {self.account.key} by {self.rule}" if self.account else waits
        skipped = [f"skipped {key}: {each.reason}" for key, each in self.ineligible.items()]
        more = [f"skipped {self.others} more"] if self.others else []
        return "; ".join([taken, *skipped, *more])
