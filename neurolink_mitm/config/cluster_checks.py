"""What is wrong with the section of several replicas, beyond its single values."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.errors import ConfigFault


def cluster_faults(cluster: object) -> Iterator[ConfigFault]:
    """Yield the faults of a section as it was read; it may have other faults too."""
    if not (isinstance(cluster, Cluster) and isinstance(cluster.url, Secret)):
        return
    if not cluster.insecure and _is_open(cluster.url.reveal()):
        yield ConfigFault(
            ("cluster", "url"),
            "must have a password (redis://:password@…) or TLS (rediss://…) to another machine: whoever reaches Redis"
            " could change what replicas share; `insecure: true` beside it allows that",
        )


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    secured = parts.scheme != "redis" or parts.password
    return not secured and not is_loopback(parts.hostname or "localhost")
