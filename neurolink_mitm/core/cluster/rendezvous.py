"""Rendezvous hashing: replicas that can't talk place a session on the same account, and move few when accounts change.

An account's score is -weight / ln(h), with h in (0, 1) from a hash of session and account; the highest wins. Shares
are as the weights. Source: Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from itertools import takewhile

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.ready import Verdict
from neurolink_mitm.core.pool.selection import Candidate


def score(session: bytes, key: str, weight: float) -> float:
    """Return the score of an account for a session; the same in each process, on each machine."""
    hashed = blake2b(session + b"\0" + key.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    share = (int.from_bytes(hashed, "big") + 0.5) / 2**56
    return -weight / math.log(share)


class Rendezvous:
    """The strategy of one session that takes the place of round-robin: its accounts, without turns."""

    def __init__(self, session: bytes) -> None:
        self._session = session

    def verdict(self, candidate: Candidate, now: float) -> Verdict:
        return Verdict((-candidate.account.priority,))

    def select(self, left: Sequence[Account]) -> Account:
        tier = takewhile(lambda each: each.priority == left[0].priority, left)
        return max(tier, key=lambda each: score(self._session, each.key, each.weight))
