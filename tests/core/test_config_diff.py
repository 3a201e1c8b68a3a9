from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.config import Config, parse
from neurolink_mitm.core.config_diff import changed_variables, differences

KEY, OTHER = "sk-ant-test-one", "sk-ant-test-other"
ENV = {"KEY": KEY, "OTHER": OTHER}


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
