"""The support bundle: a zip of diagnostics, configuration and logs, with secrets and personal data masked."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from neurolink_mitm.core.redact.known_secrets import encoded_forms
from neurolink_mitm.core.redact.search import addresses
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import MASK, SecretMatch, redact, replaced, without_passwords


def plain(value: object) -> Any:
    """Return a configuration as JSON values, without fields that are not set; secrets are masked."""
    match value:
        case Secret():
            return MASK
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case str():
            return without_passwords(redact(value))
        case Sequence():
            return [plain(each) for each in value]
        case _ if is_dataclass(value):
            items = {item.name: _field(value, item) for item in fields(value)}
            return {name: plain(each) for name, each in items.items() if each is not None}
    return value if isinstance(value, int | float | bool) or value is None else str(value)


def _field(section: object, field: Field[Any]) -> object:
    """Mask private fields: the user's own words and notes, and a URL that may be a secret."""
    value = getattr(section, field.name)
    if field.name == "metadata":
        return dict.fromkeys(value, MASK)
    if value is None or not field.metadata.get("private"):
        return value
    return MASK if isinstance(value, str) else [MASK] * len(value)


class Censor:
    """Masks known secrets, what looks like one, e-mail addresses, and the path of the user's home."""

    def __init__(self, secrets: Iterable[Secret], home: str) -> None:
        self._secrets = sorted(encoded_forms(secrets), key=len)
        home = home.rstrip("/")
        # the home of `al` is no part of that of `alice`
        self._home = re.compile(rf"{re.escape(home)}(?![\w.-])") if len(home) > 1 else None
        self._people: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        for secret in reversed(self._secrets):
            text = text.replace(secret, MASK)
        if self._home:
            text = self._home.sub("~", text)
        text = without_passwords(redact(text))
        people = (SecretMatch(*at, self._person(text[slice(*at)])) for at in addresses(text))
        return replaced(text, people)

    def _person(self, address: str) -> str:
        """Return the number of an address: the same one throughout, so that accounts can be told apart."""
        number = len(self._people) + 1
        return self._people.setdefault(address.lower(), f"person-{number}")


def write_bundle(path: Path, contents: Mapping[str, str]) -> None:
    """Write a zip that only its owner can read. Raises `FileExistsError` if `path` exists, else `OSError`."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.getbuffer())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def tail(path: Path, count: int, most: int = 1_000_000) -> list[str]:
    """Return the last lines within the last `most` bytes of a text file; none if it can't be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            data = file.read(most)
    except OSError:
        return []
    lines = data.decode("utf-8", "replace").splitlines()
    return lines[1:][-count:] if size > most else lines[-count:]  # the first one may be cut
