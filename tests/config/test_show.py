from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.config.document import parse
from neurolink_mitm.config.show import (
    as_json,
    changed_variables,
    differences,
    effective,
    format_setting,
    origin,
    values_in,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.shaping import WordObfuscator
from neurolink_mitm.core.settings.values import AccountConfig, Config, Fallback, Provider

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


def test_a_section_is_its_values() -> None:
    assert dict(values_in(Provider("http://h", Secret("k")), ("providers", "x"))) == {
        ("providers", "x", "baseUrl"): "http://h",
        ("providers", "x", "apiKey"): Secret("k"),
        ("providers", "x", "api"): None,
    }


def test_names_that_the_user_chose_are_steps_and_notes_are_not() -> None:
    account = AccountConfig("a", metadata={"team": "b"})
    assert dict(values_in({"x": account}, ("p",)))["p", "x", "metadata"] == {"team": "b"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Secret("sk-ant-test"), "**********"),
        ((Secret("one"), Secret("two")), "[**********, **********]"),
        ("sk-ant-test-key", "a text of 15 characters"),
        (None, "nothing"),
        (300.0, "300"),
        (True, "true"),
        ({}, "{}"),
        ({"a": 1}, "a mapping"),
        ((Fallback("openai", "m"),), '[{provider: "openai", model: "m"}]'),
        (("a",) * 6, '["a", "a", "a", "a", "a", … 6 in all]'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_value_in_a_line(value: object, text: str) -> None:
    assert format_setting(value) == text


def test_words_that_are_to_stay_here_are_secrets() -> None:
    options = WordObfuscator(True, ("bluebird",), ("corp-.*",), domains=("corp.example",))
    values = dict(values_in(options, ("p",)))
    assert values["p", "words"] == (Secret("bluebird"),)
    assert "bluebird" not in repr(options) + format_setting(values["p", "words"])
    assert (
        "corp"
        not in f"{options}{format_setting(values['p', 'patterns'])}{format_setting(values['p', 'domains'])}"
    )


ENV = {"KEY": "sk-ant-test-one", "OTHER": "sk-ant-test-other"}


def config(**document: Any) -> Config:
    return parse(document, ENV).config


def accounts(*listed: dict[str, Any]) -> Config:
    return config(accounts={"anthropic": list(listed)})


def account(name: str = "work", **settings: Any) -> dict[str, Any]:
    return {"name": name, "apiKey": "${KEY}", **settings}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            {},
            {"routing": {"strategy": "round-robin"}},
            'routing.strategy: "fill-first" -> "round-robin"',
        ),
        ({"timeouts": {"idle": 5}}, {"timeouts": {"idle": 6}}, "timeouts.idle: 5 -> 6"),
        (
            {"routing": {"primary-account": "work"}},
            {},
            'routing.primaryAccount: "work" -> nothing',
        ),
        (
            {"clients": {"api-keys": ["${KEY}"]}},
            {"clients": {"api-keys": ["${KEY}", "${OTHER}"]}},
            "clients.apiKeys: [**********] -> [**********, **********]",
        ),
        (
            {"providers": {"openai": {"apiKey": "${KEY}"}}},
            {"providers": {"openai": {"apiKey": "${OTHER}"}}},
            "providers.openai.apiKey: ********** -> **********",
        ),
        (
            {},
            {"routing": {"fallback-chain": [{"provider": "openai", "model": "m"}]}},
            'routing.fallbackChain: [] -> [{provider: "openai", model: "m"}]',
        ),
        (
            {},
            {"routing": {"passthrough-models": list("abcdefg")}},
            'routing.passthroughModels: [] -> ["a", "b", "c", "d", "e", … 7 in all]',
        ),
        (
            {},
            {"cloaking": {"plugins": {"sessionIdentity": False}}},
            "cloaking.plugins.sessionIdentity.enabled: true -> false",
        ),
    ],
    ids=["text", "number", "gone", "keys", "key", "sections", "many", "deep"],
)
def test_a_value(old: dict[str, Any], new: dict[str, Any], line: str) -> None:
    assert differences(config(**old), config(**new)) == (line,)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ([account()], [account(), account("home")], ["accounts.anthropic.home: added"]),
        ([account("home"), account()], [account()], ["accounts.anthropic.home: removed"]),
        ([account()], [account(weight=2)], ["accounts.anthropic.work.weight: 1 -> 2"]),
        (
            [account("a"), account("b")],
            [account("b"), account("a")],
            ['accounts.anthropic: order ["a", "b"] -> ["b", "a"]'],
        ),
        (
            [account()],
            [account(apiKey="${OTHER}")],
            ["accounts.anthropic.work.apiKey: ********** -> **********"],
        ),
        (
            [account()],
            [account(proxyUrl="http://me:hunter2@proxy.example.com:3128")],
            ['accounts.anthropic.work.proxyUrl: nothing -> "http://…@proxy.example.com:3128"'],
        ),
        (
            [account(metadata={"password": "hunter2"})],
            [account(metadata={"password": "hunter3"})],
            ["accounts.anthropic.work.metadata: a mapping -> a mapping"],
        ),
    ],
    ids=["added", "removed", "setting", "order", "key", "proxy", "notes"],
)
def test_accounts_go_by_their_names(
    old: list[dict[str, Any]], new: list[dict[str, Any]], lines: list[str]
) -> None:
    assert list(differences(accounts(*old), accounts(*new))) == lines


def test_nothing() -> None:
    assert differences(accounts(account()), accounts(account())) == ()


def test_variables_are_named_and_not_shown() -> None:
    old, new = {"A": "1", "B": "1", "C": "1"}, {"A": "1", "B": "2", "D": "1"}
    assert changed_variables(old, new) == ("B", "C", "D")
