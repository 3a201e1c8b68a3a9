from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from neurolink_mitm.core.shaping.draft import OutgoingRequest


class TlsPins:
    """Pins the certificates that the host may show. The data plane compares them before it sends a byte."""

    def __init__(self, pins: Mapping[str, Sequence[str]]) -> None:
        self._pins = {host.lower(): tuple(hashes) for host, hashes in pins.items()}

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        pins = self._pins.get(outgoing.about.host.lower())
        return outgoing if pins is None else replace(outgoing, pins=pins)
