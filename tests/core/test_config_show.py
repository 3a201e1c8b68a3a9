from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.config import parse
from neurolink_mitm.core.config_show import as_json, effective, origin

KEY = "sk-ant-test-key"
DOCUMENT: dict[str, Any] = {
    "accounts": {
        "anthropic": [
            {"name": "a", "api-key": "${KEY}", "metadata": {"note": f"was {KEY}"}},
            {"name": "b", "proxyUrl": "http://me:${KEY}@proxy.example.com:3128"},
        ]
    },
    "timeouts": {"first-event": 5, "idle": None},
    "cloaking": {"plugins": {"sessionIdentity": False}},
    "providers": {"google-ai": {"baseUrl": "http://127.0.0.1:${PORT:-80}"}},
}
CONFIG = parse(DOCUMENT, {"KEY": KEY}).config
ROWS = {row.path: row for row in effective(CONFIG, DOCUMENT)}


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("accounts.anthropic[0].apiKey", "**********", "file: ${KEY}"),
        ("accounts.anthropic[0].weight", "1", "default"),
        (
            "accounts.anthropic[1].proxyUrl",
            '"http://…@proxy.example.com:3128"',
            "file: ${KEY}",
        ),
        ("timeouts.firstEvent", "5", "file"),
        ("timeouts.idle", "300", "default"),
        ("cloaking.plugins.sessionIdentity.enabled", "false", "file"),
        ("cloaking.plugins.headerScrubber.enabled", "true", "default"),
        ("providers.google-ai.baseUrl", '"http://127.0.0.1:80"', "file: ${PORT}"),
        ("oauth.clientId", '"9d1c250a-e61b-44d9-88ed-5944d1962f5e"', "default"),
    ],
)
def test_a_value_and_where_it_comes_from(path: str, value: str, where: str) -> None:
    assert (ROWS[path].value, ROWS[path].origin) == (value, where)


def test_a_plain_reference_sign_is_no_variable() -> None:
    assert origin({"a": "$${X}"}, ("a",)) == "file"


def test_the_same_as_json() -> None:
    shown: Any = as_json(CONFIG)
    [a, b] = shown["accounts"]["anthropic"]
    assert (a["apiKey"], a["metadata"], a["maxConcurrent"]) == (
        "**********",
        {"note": "was ***"},
        0,
    )
    assert b["proxyUrl"] == "http://…@proxy.example.com:3128"
    assert shown["timeouts"]["firstEvent"] == 5


def test_no_key_is_shown() -> None:
    assert KEY not in str(ROWS) + str(as_json(CONFIG))
