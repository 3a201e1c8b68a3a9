"""What was recorded of a time, as a replay needs it: requests with their attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from neurolink_mitm.core.failover.errors import RATE_LIMIT
from neurolink_mitm.core.logs.rows import CLIENT_LEFT, PROXY_STOPPED
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.response.prompt_cache import Conversation

_UNDISTURBED = (None, CLIENT_LEFT, PROXY_STOPPED)
"""Error types of attempts that did not fail."""


class Tried(msgspec.Struct, gc=False):
    """An attempt on an account of Anthropic's, sent at `at` (seconds since the epoch)."""

    at: float
    account: str
    """Its label."""
    endpoint: str
    family: str = ""
    """That of the model that was asked for."""
    status: int | None = None
    error_type: str | None = None
    delay: float = 0.0
    """Seconds until its end."""
    cooldown: float = 0.0
    retry_after: float | None = None
    used: float | None = None
    """Share of its fuller window, `5h` or `7d`, where that was reported."""
    of_family_only: bool = False
    """Of a limit: other families of models were served while it lasted."""

    @property
    def is_rate_limit(self) -> bool:
        return self.status == 429 or self.error_type == RATE_LIMIT

    @property
    def keeps_away(self) -> bool:
        """Whether the account could not be used for a while."""
        return self.error_type not in _UNDISTURBED and (self.cooldown > 0 or self.is_rate_limit)

    @property
    def until(self) -> float:
        """The time up to which the account could not be used, unless it answered before."""
        wait = self.cooldown if self.retry_after is None else self.retry_after
        return self.at + self.delay + wait


class Asked(msgspec.Struct, gc=False):
    """A request that asked for an account."""

    at: float
    requirements: Requirements
    conversation: Conversation | None = None
    cost: float | None = None
    """USD by the price list, where an account of Anthropic's answered."""
    other_cost: float = 0.0
    """USD, where another provider answered in the end."""
    cached: int = 0
    """Tokens of its prompt that were read from a cache or written to one."""
    lifetime: float = 0.0
    """Seconds for which what it wrote to a cache is kept; 0: it wrote nothing."""
    moved: int = 0
    """Tokens that were written to a cache again, since its session had moved."""
    served_by: str | None = None
    """The label of the account that answered; None: none did."""
    refused: bool = False
    """No account was asked, as all were cooling."""
    fell: bool = False
    """Another provider answered in the end."""
    status: int | None = None
    tried: list[Tried] = []

    @property
    def failovers(self) -> int:
        labels = [each.account for each in self.tried]
        return sum(one != other for one, other in pairwise(labels))


@dataclass
class Recording:
    """The requests of a time in their order, and all their attempts in theirs."""

    requests: Sequence[Asked] = ()
    attempts: Sequence[Tried] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    """Of each account that was asked, by its label, in the order in which they were first asked."""
    bad: int = 0
    """Lines that were no rows."""
    elsewhere: int = 0
    """Requests that other providers answered, without any account being asked."""
    cut: bool = False
    """There were more requests than are held: these are the latest."""
