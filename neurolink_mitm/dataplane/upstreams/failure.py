"""Why no connection to upstream could be made."""

from __future__ import annotations

from neurolink_mitm.core.failover.unreachable import UNTRUSTED, UNTRUSTED_PROXY
from neurolink_mitm.core.request.target import UpstreamKey


class DialError(Exception):
    """No connection could be made; the text says why, as `core.failover.unreachable` reads it.

    - UntrustedError   the certificate of upstream or of the HTTP proxy is not trusted
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        """Whether the next try would meet the same: an untrusted certificate, a refused login."""


class UntrustedError(DialError):
    """The certificate of `server`, which is upstream or the HTTP proxy on the way, is not trusted."""

    def __init__(self, reason: str, server: UpstreamKey, *, is_proxy: bool = False) -> None:
        super().__init__(f"{UNTRUSTED_PROXY if is_proxy else UNTRUSTED}{reason}", permanent=True)
        self.server = server
