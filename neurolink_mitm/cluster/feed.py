"""One kind of shared state, as the replica's loop deals with it."""

from __future__ import annotations

from typing import Any, Protocol

from neurolink_mitm.cluster.redis.link import Link


class Feed(Protocol):
    """All methods run on the proxy's event loop, and take a few milliseconds of it at most.

    A feed is made with its `Replica`, and has it push soon by `replica.wake(kind)`. One that raises is logged once,
    and does not stop the others. `RefusedError` is best passed on: only this feed's keys are at fault.
    """

    @property
    def kind(self) -> str:
        """The first item of its news."""

    def heard(self, news: list[Any]) -> None:
        """Take over what another replica has published: its id, then what it added.

        It comes from Redis: whatever it holds must not break anything. Raises `ValueError` for what it can't read.
        """

    async def push(self, link: Link) -> None:
        """Write what is unwritten; also called each second. Raises `AwayError`: then it is tried again."""

    async def read(self, link: Link) -> None:
        """Read all and take it over; once a second. Raises `AwayError`."""

    def lost(self) -> None:
        """Note that Redis may have lost everything: all that this replica has is unwritten again."""

    async def leave(self, link: Link) -> None:
        """Hand back what this replica holds (leases, say) as it ends, within a fraction of a second."""

    def close(self) -> None:
        """Let go of what the feed was attached to: the cluster is switched off, or the proxy ends.

        It is called once, whether Redis is there or not, after `leave`.
        """
