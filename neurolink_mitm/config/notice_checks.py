"""What is wrong with the channels of notices that a configuration names: faults, and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.settings.errors import ConfigFault, spelled, value_at
from neurolink_mitm.core.settings.values import Config


def notice_faults(document: object) -> Iterator[ConfigFault]:
    """Yield the faults of a document that no single value has; it may have other faults too."""
    notify = value_at(document, ("notify",))
    if value_at(notify, ("webhook",)) is not None and value_at(notify, ("secret",)) is None:
        yield ConfigFault(
            ("notify", "secret"), "is required where there is a webhook: it signs what is sent"
        )


def notice_warnings(config: Config, document: object) -> Iterator[ConfigFault]:
    """Yield what hardly works as its author meant it."""
    notify = config.notify
    if notify.webhook and _is_open(notify.webhook):
        loc = spelled(document, "notify", "webhook")
        yield ConfigFault(loc, "sends events to another machine unencrypted: better https")


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
