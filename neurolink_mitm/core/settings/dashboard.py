"""The section of the dashboard: where its pages are, and whether they may change anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from neurolink_mitm.core.settings import types as types
from neurolink_mitm.core.settings.section import Section

DASHBOARD_PORT = 55670


@dataclass(frozen=True, slots=True)
class Dashboard(Section):
    """The pages that show what the proxy does, on a listener of their own."""

    enabled: Annotated[types.Flag, "False: nothing listens for a browser."] = True
    host: Annotated[
        types.LoopbackHost,
        "An address of loopback, and no other: from another machine, use a tunnel (`ssh -L`).",
    ] = "127.0.0.1"
    port: Annotated[
        types.Port, "If another program has it, the next free one; 0 is any free one."
    ] = DASHBOARD_PORT
    read_only: Annotated[types.Flag, "True: the pages show all and change nothing."] = False
