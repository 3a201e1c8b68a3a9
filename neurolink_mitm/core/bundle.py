"""What goes into a report that others will read: all that helps, and no secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any

from neurolink_mitm.core.redact.known_secrets import NAMES_A_SECRET, spelled
from neurolink_mitm.core.redact.search import addresses
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import STARS, Found, redact, replaced, without_passwords


def plain(value: object) -> Any:
    """A configuration as JSON has it, with stars for each secret; fields that are not set are left out."""
    match value:
        case Secret():
            return STARS
        case Mapping():
            return {str(key): _named(str(key), each) for key, each in value.items()}
        case str():
            return without_passwords(redact(value))
        case Sequence():
            return [plain(each) for each in value]
        case _ if is_dataclass(value):
            found = {item.name: _field(value, item) for item in fields(value)}
            return {name: plain(each) for name, each in found.items() if each is not None}
    return value if isinstance(value, int | float | bool) or value is None else str(value)


def _field(section: object, field: Field[Any]) -> object:
    """The user's words are to leave this machine in no other way either."""
    value = getattr(section, field.name)
    return [STARS] * len(value) if field.metadata.get("private") else value


def _named(key: str, value: object) -> Any:
    """Free mappings (`metadata`, say) may hold a secret under its name."""
    secret = isinstance(value, str) and NAMES_A_SECRET.search(key)
    return STARS if secret else plain(value)


class Censor:
    """Takes out known secrets, whatever looks like one, addresses of people, and where the user's home is."""

    def __init__(self, secrets: Iterable[Secret], home: str) -> None:
        self._secrets = sorted(spelled(secrets), key=len)
        self._home = home.rstrip("/")
        self._people: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        for secret in reversed(self._secrets):
            text = text.replace(secret, STARS)
        if len(self._home) > 1:
            text = text.replace(self._home, "~")
        text = without_passwords(redact(text))
        people = (Found(*at, self._person(text[slice(*at)])) for at in addresses(text))
        return replaced(text, people)

    def _person(self, address: str) -> str:
        """The same one has the same number throughout: accounts are told apart by it."""
        number = len(self._people) + 1
        return self._people.setdefault(address.lower(), f"person-{number}")
