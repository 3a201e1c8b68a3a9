"""The requests that have finished lately."""

from __future__ import annotations

from collections.abc import Sequence

from neurolink_mitm.core.logs.rows import RequestRow

KEPT = 20
"""Rows: as many as one looks through at a glance."""


class Recent:
    """The latest rows of the journal, as they were handed to it. Any thread may read them."""

    def __init__(self) -> None:
        self.newest: Sequence[RequestRow] = ()
        """The newest first."""

    def add(self, row: RequestRow) -> None:
        self.newest = (row, *self.newest[: KEPT - 1])
