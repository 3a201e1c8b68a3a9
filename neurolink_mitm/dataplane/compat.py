"""The mitmproxy versions this fits, and the one place where they differ for us."""

from __future__ import annotations

from typing import Any

from mitmproxy import version

from neurolink_mitm.core.status.versions import REQUIREMENT, fits_mitmproxy


class UnsupportedMitmproxyError(RuntimeError):
    """The installed mitmproxy is older or newer than what the data plane was tested on."""


def check_version(found: str = version.VERSION) -> None:
    """Refuse to run on an untested inner API.

    Raises:
        UnsupportedMitmproxyError: says what is installed and what would fit.
    """
    if not fits_mitmproxy(found):
        needed = REQUIREMENT.removeprefix("mitmproxy")
        raise UnsupportedMitmproxyError(
            f"mitmproxy {found} is installed; NeuroLink needs {needed}: pip install '{REQUIREMENT}'"
        )


def _codes() -> tuple[Any, Any]:
    """Error codes: an enum since 11.1, HTTP status codes before."""
    try:
        from mitmproxy.proxy.layers.http._events import ErrorCode
    except ImportError:
        from mitmproxy.net.http import status_codes

        return status_codes.NO_RESPONSE, status_codes.CLIENT_CLOSED_REQUEST
    return ErrorCode.CANCEL, ErrorCode.CLIENT_DISCONNECTED


CANCEL, CLIENT_LEFT = _codes()
"""An attempt is broken off without a word to the peer; the client has gone."""


def status_of(code: Any) -> int | None:
    """HTTP status that an error code stands for; None where the connection is just to be closed."""
    from mitmproxy.net.http import status_codes

    if isinstance(code, int):
        return None if code == status_codes.NO_RESPONSE else code
    status: int | None = code.http_status_code()
    return status
