"""One kind of shared state, as the replica's loop deals with it."""

from __future__ import annotations

from typing import Any, Protocol

from neurolink_mitm.cluster.link import Link


class Feed(Protocol):
    """All methods run on the proxy's event loop, and take a few milliseconds of it at most."""

    @property
    def kind(self) -> str:
        """The first item of its news."""

    def heard(self, news: list[Any]) -> None:
        """Take over what a replica has published, this one included: what follows `kind` and the replica's id.

        It comes from Redis: whatever it holds must not break anything. Raises `ValueError` for what it can't read.
        """

    async def push(self, link: Link) -> None:
        """Write what is unwritten; also called each second. Raises `AwayError`: then it is tried again."""

    async def read(self, link: Link) -> None:
        """Read all and take it over; once a second. Raises `AwayError`."""

    def lost(self) -> None:
        """Note that Redis may have lost everything: all that this replica has is unwritten again."""
