"""A start in the home of the original NeuroLink: each form of its store serves a request, and the old file is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.auth.original_store import NEVER
from tests.flows.live import KEY, REFRESH, TOKEN, live
from tests.obfuscated import obfuscate

LOGIN = {"accessToken": TOKEN, "refreshToken": REFRESH, "expiresAt": 4_000_000_000_000}
ALWAYS = {"accessToken": KEY, "expiresAt": NEVER, "tokenType": "api-key"}
OFF = {"disabled": True, "disabledAt": 1, "disabledReason": "refresh_failed"}
FORMS: dict[str, tuple[str, Any, str]] = {
    "obfuscated": ("tokens.json", {"anthropic:work": {"tokens": LOGIN}}, "work"),
    "disabled": (
        "tokens.json",
        {"anthropic:off": {"tokens": LOGIN, **OFF}, "anthropic:on": {"tokens": ALWAYS}},
        "on",
    ),
    "never ends": (
        "tokens.json",
        {"anthropic:k": {"tokens": ALWAYS}},
        "k",
    ),
    "legacy": ("anthropic-credentials.json", {"type": "api-key", "apiKey": KEY}, "default"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_store_of_the_original_serves(tmp_path: Path, form: str) -> None:
    name, content, label = FORMS[form]
    with live(tmp_path / "live") as machine:
        if name == "tokens.json":
            content = {"version": "2.0", "lastModified": 1, "providers": content}
        old = json.dumps(content)
        if form == "obfuscated":
            old = obfuscate(old, str(machine.shell.home)).decode()
        machine.shell.write(name, old)
        proxy = machine.serve()
        machine.until(served_by=label)
        kept = [path.read_text() for path in machine.home.root.glob("tokens.json.original-*")]
        assert kept == ([] if form == "legacy" else [old])
        assert form == "legacy" or "taken over from the original NeuroLink" in proxy.complained
