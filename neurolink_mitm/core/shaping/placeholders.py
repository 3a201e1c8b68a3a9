from __future__ import annotations

import hashlib
import hmac
import re

FORM = re.compile(r"NL_(?:WORD|TEXT|HOST|EMAIL|IPV4|IPV6|KEY)_[0-9a-f]{12}")
"""Letters that nothing has to escape: not JSON, not a URL, not the name of a tool. No form begins inside another."""
MARK = "NL_"


class Placeholders:
    """The same for the same text, in all sessions and after a restart: so the prompt cache holds, and so does
    what a model has thought about it. Without the key nobody can try out what a placeholder stands for."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, kind: str, text: str) -> str:
        said = f"{kind} {text}".encode("utf-8", "surrogatepass")
        return f"{MARK}{kind}_{hmac.digest(self._key, said, hashlib.sha256).hex()[:12]}"
