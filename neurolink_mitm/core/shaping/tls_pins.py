from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from neurolink_mitm.core.shaping.draft import Draft


class TlsPins:
    """Names the certificates that the host may show. The data plane compares them before it sends a byte."""

    def __init__(self, pins: Mapping[str, Sequence[str]]) -> None:
        self._pins = {host.lower(): tuple(found) for host, found in pins.items()}

    def rewrite(self, draft: Draft) -> Draft:
        pins = self._pins.get(draft.about.host.lower())
        return draft if pins is None else replace(draft, pins=pins)
