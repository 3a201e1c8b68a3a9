from __future__ import annotations

import hashlib
import hmac
import re

FORM = re.compile(r"NL_(?:WORD|TEXT|HOST|EMAIL|IPV4|IPV6|KEY)_[0-9a-f]{12}")
"""A placeholder: of letters that need no escape in JSON, in a URL or in a tool's name. None begins inside another."""
MARK = "NL_"


class Placeholders:
    """Makes placeholders: the same one for the same text, in all sessions and after a restart.

    So the prompt cache holds, and a model's thinking fits. Without the key nobody can guess the text of a placeholder.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, kind: str, text: str) -> str:
        message = f"{kind} {text}".encode("utf-8", "surrogatepass")
        return f"{MARK}{kind}_{hmac.digest(self._key, message, hashlib.sha256).hex()[:12]}"
