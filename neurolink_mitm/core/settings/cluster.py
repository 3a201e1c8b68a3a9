"""The section of several replicas that act as one pool, over Redis or Valkey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from neurolink_mitm.core.settings import types as types
from neurolink_mitm.core.settings.section import Section


@dataclass(frozen=True, slots=True)
class Cluster(Section):
    """What replicas share; without this section, a proxy is by itself."""

    url: Annotated[
        types.RedisUrl,
        "Redis or Valkey: `redis://…`, or `rediss://…` with TLS. To another machine with a password or TLS only, "
        "see `insecure`.",
    ]
    namespace: Annotated[
        types.Namespace, "Replicas of one namespace are one pool; several may share a Redis."
    ] = "nl"
    key_file: Annotated[
        types.Text | None,
        "The key that seals tokens and client keys in Redis, the same for all replicas. Relative to this "
        "file.",
    ] = None
    insecure: Annotated[
        types.Flag, "True: Redis on another machine may be without password and TLS."
    ] = False
