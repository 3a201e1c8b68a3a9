"""The keys in Redis: all of a namespace have its name in braces, so that Redis Cluster keeps them together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Names:
    """The keys of one namespace."""

    namespace: str

    def key(self, *parts: str) -> str:
        """Return `{nl}:cooldowns`, say."""
        return ":".join((f"{{{self.namespace}}}", *parts))

    @property
    def news(self) -> str:
        """The channel on which replicas publish what is new."""
        return self.key("news")
