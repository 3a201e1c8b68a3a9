"""The rows: who is measured, and how each one is started."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import processes
from bench.processes import Server, Target
from bench.variants import DEFAULT, EARLIER, OPTIONS, ORDINARY, Variant, earlier

DIRECT = "direct"
BASELINE = "mitmdump"
OPTION_NAMES = tuple(each.name for each in OPTIONS)
ROWS = (DIRECT, BASELINE, DEFAULT)
KNOWN = (*ROWS, *OPTION_NAMES)

Start = Callable[[Target], AbstractContextManager[Server]]
"""Starts a proxy for an upstream."""


@dataclass(frozen=True)
class Rows:
    """The rows that were chosen, by `names`, and the checkout of an earlier NeuroLink."""

    names: tuple[str, ...] = ROWS
    against: Path | None = None

    @property
    def variants(self) -> Iterator[Variant]:
        """Today's NeuroLink and the earlier one."""
        if DEFAULT in self.names:
            yield ORDINARY
        if self.against:
            yield earlier(self.against)

    @property
    def proxies(self) -> dict[str, Start]:
        """Those without options, by name."""
        stock: dict[str, Start] = {BASELINE: processes.mitmdump} if BASELINE in self.names else {}
        return stock | starts_of(*self.variants)

    @property
    def with_options(self) -> dict[str, Start]:
        options = starts_of(*(each for each in OPTIONS if each.name in self.names))
        proxies = self.proxies
        earlier_one = {EARLIER: proxies.pop(EARLIER)} if self.against else {}
        return proxies | options | earlier_one


def starts_of(*variants: Variant) -> dict[str, Start]:
    return {each.name: partial(processes.neurolink, variant=each) for each in variants}
