from __future__ import annotations

import datetime
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.config.document import parse
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import (
    AccountConfig,
    Config,
    Fallback,
    ModelMapping,
    ModelPrice,
)

KEY = "sk-ant-test-hunter2"
ENV = {"KEY_1": KEY, "EMPTY": "", "NUMBER": "2.5", "WORD": "two", "OFF": "false"}


def faults(document: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(document, ENV)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return list(caught.value.faults)


def account(**settings: object) -> dict[str, Any]:
    return {"accounts": {"anthropic": [{"name": "work", **settings}]}}


# --- what is good


@pytest.mark.parametrize(
    "document", [None, {}, {"accounts": None}, {"accounts": {"anthropic": []}}]
)
def test_an_empty_file_is_a_valid_configuration(document: object) -> None:
    loaded = parse(document, {})
    assert loaded.config == Config()
    assert loaded.warnings == ()


def test_defaults() -> None:
    config = parse(None, {}).config
    times = config.timeouts
    assert (times.connect, times.first_event, times.idle, times.total) == (10, 120, 300, 900)
    assert config.routing.strategy == "fill-first"
    assert config.routing.session_affinity is True
    assert config.routing.pay_per_use == "allow"
    assert config.routing.daily_cap_usd is None
    assert config.default_base_url == "https://api.anthropic.com"
    assert config.clients.api_keys == ()
    log = config.logging
    assert (log.max_age_days, log.max_size_mb, log.capture_bodies) == (7, 500, "errors")
    plugins = config.cloaking.plugins
    assert config.cloaking.mode == "auto"
    assert (plugins.header_scrubber.enabled, plugins.session_identity.enabled) == (True, True)
    assert not plugins.tls_fingerprint.enabled
    assert not plugins.system_prompt_injector.enabled
    assert not plugins.word_obfuscator.enabled


def test_timeouts_are_floats_of_seconds() -> None:
    timeouts = parse({"timeouts": {"connect": 5, "first-event": "${NUMBER}"}}, ENV).config.timeouts
    assert (timeouts.connect, timeouts.first_event, timeouts.idle) == (5.0, 2.5, 300.0)
    assert isinstance(timeouts.connect, float)


def test_an_account_with_everything() -> None:
    loaded = parse(
        account(
            apiKey="${KEY_1}",
            baseUrl="http://127.0.0.1:8000/",
            orgId="org",
            weight=3,
            priority=-1,
            enabled="${OFF}",
            rateLimit=60,
            maxConcurrent=2,
            excludedModels=["claude-opus-*"],
            proxyUrl="direct",
            metadata={"any-key": {"deepKey": ["${WORD}"]}},
        ),
        ENV,
    )
    assert loaded.config.accounts == (
        AccountConfig(
            name="work",
            api_key=Secret(KEY),
            base_url="http://127.0.0.1:8000",
            org_id="org",
            weight=3.0,
            priority=-1,
            enabled=False,
            rate_limit=60,
            max_concurrent=2,
            excluded_models=("claude-opus-*",),
            proxy_url="direct",
            metadata={"any-key": {"deepKey": ["two"]}},
        ),
    )
    assert loaded.warnings == ()


def test_routing_with_everything() -> None:
    routing = parse(
        {
            "routing": {
                "strategy": "quota-aware",
                "primary-account": "work",
                "session-affinity": False,
                "model-mappings": [
                    {"from": "claude-3-haiku-*", "to": "gpt-4o-mini", "provider": "openai"},
                    {"from": "a", "to": "b"},
                ],
                "fallback-chain": [{"provider": "google-ai", "model": "gemini-2.5-flash"}],
                "passthrough-models": ["claude-opus-4-20250514"],
                "pay-per-use": "never",
                "daily-cap-usd": 20,
            }
        },
        {},
    ).config.routing
    assert routing.model_mappings == (
        ModelMapping("claude-3-haiku-*", "gpt-4o-mini", "openai"),
        ModelMapping("a", "b", "anthropic"),
    )
    assert routing.fallback_chain == (Fallback("google-ai", "gemini-2.5-flash"),)
    assert routing.passthrough_models == ("claude-opus-4-20250514",)
    assert (routing.strategy, routing.primary_account) == ("quota-aware", "work")
    assert (routing.pay_per_use, routing.daily_cap_usd) == ("never", 20.0)


@pytest.mark.parametrize(
    ("kebab", "camel"),
    [
        ({"default-base-url": "http://h"}, {"defaultBaseUrl": "http://h"}),
        (account(**{"max-concurrent": 3}), account(maxConcurrent=3)),
        ({"routing": {"daily-cap-usd": 1}}, {"routing": {"dailyCapUsd": 1}}),
        ({"timeouts": {"first-event": 1}}, {"timeouts": {"firstEvent": 1}}),
        ({"clients": {"api-keys": ["${KEY_1}"]}}, {"clients": {"apiKeys": ["${KEY_1}"]}}),
        ({"providers": {"groq": {"base-url": "http://h/v1"}}}, {"providers": {"groq": {"baseUrl": "http://h/v1"}}}),
        ({"oauth": {"client-id": "x"}}, {"oauth": {"clientId": "x"}}),
        (
            {"cloaking": {"plugins": {"header-scrubber": False}}},
            {"cloaking": {"plugins": {"headerScrubber": False}}},
        ),
        ({"logging": {"max-size-mb": 1}}, {"logging": {"maxSizeMb": 1}}),
    ],
    ids=["top", "account", "routing", "timeouts", "clients", "providers", "oauth", "plugin", "log"],
)  # fmt: skip
def test_both_spellings_are_read(kebab: object, camel: object) -> None:
    assert parse(kebab, ENV) == parse(camel, ENV) != parse(None, ENV)


@pytest.mark.parametrize(
    ("given", "enabled", "words"),
    [
        (True, True, ()),
        (False, False, ()),
        ("${NONE:-true}", True, ()),
        ({"words": ["x"]}, True, ("x",)),
        ({"enabled": False, "words": ["x"]}, False, ("x",)),
    ],
    ids=["true", "false", "variable", "options", "options-off"],
)
def test_a_plugin_is_true_false_or_its_options(
    given: object, enabled: bool, words: tuple[str, ...]
) -> None:
    config = parse({"cloaking": {"plugins": {"wordObfuscator": given}}}, ENV).config
    assert config.cloaking.plugins.word_obfuscator.enabled is enabled
    assert config.cloaking.plugins.word_obfuscator.words == words


def test_a_bare_off_is_false_in_yaml() -> None:
    config = parse({"logging": {"capture-bodies": False}}, {}).config
    assert config.logging.capture_bodies == "off"


# --- what is not


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(
            account(weight="two"),
            'accounts.anthropic[0].weight: must be a number > 0, got "two"',
            id="number",
        ),
        pytest.param(
            account(weight="${WORD}"),
            'accounts.anthropic[0].weight: must be a number > 0, got "${WORD}"',
            id="shown-as-it-stands-in-the-file",
        ),
        pytest.param(
            account(rateLimit=0),
            "accounts.anthropic[0].rateLimit: must be a whole number ≥ 1, got 0",
            id="count",
        ),
        pytest.param(
            account(excludedModels="claude-*"),
            'accounts.anthropic[0].excludedModels: must be a list, got "claude-*"',
            id="list",
        ),
        pytest.param(
            account(name=2026),
            "accounts.anthropic[0].name: must be a text (in quotes, if it looks like a number),"
            " got 2026",
            id="text",
        ),
        pytest.param(
            {"routing": {"fallback-chain": [{"provider": "groq"}]}},
            "routing.fallback-chain[0].model: is required",
            id="missing",
        ),
        pytest.param(
            {"accounts": {"anthropic": {"name": "work"}}},
            "accounts.anthropic: must be a list, got a mapping",
            id="mapping-for-list",
        ),
        pytest.param(
            {"accounts": []}, "accounts: must be a mapping of keys and values, got a list",
            id="list-for-mapping",
        ),
        pytest.param(
            {"timeouts": {"idle": -1}},
            "timeouts.idle: must be a number of seconds > 0 and at most 86400, got -1",
            id="negative-timeout",
        ),
        pytest.param(
            {"routing": {"strategy": "best"}},
            "routing.strategy: must be one of fill-first, round-robin, quota-aware, got \"best\"",
            id="strategy",
        ),
        pytest.param(
            {"routing": {"pay-per-use": True}},
            "routing.pay-per-use: must be one of allow, never, got true",
            id="choice",
        ),
        pytest.param(
            {"defaultBaseUrl": "api.anthropic.com"},
            'defaultBaseUrl: must be an http or https URL, got "api.anthropic.com"',
            id="url",
        ),
        pytest.param(
            {"oauth": {"token-urls": []}}, "oauth.token-urls: must not be empty", id="empty-list"
        ),
        pytest.param({"version": 2}, "version: must be 1, got 2", id="version"),
        pytest.param(
            {"cloaking": {"plugins": {"wordObfuscator": {"patterns": ["("]}}}},
            "cloaking.plugins.wordObfuscator.patterns[0]: must be a regular expression"
            ' (missing ), unterminated subpattern at position 0), got "("',
            id="pattern",
        ),
        pytest.param(
            {"cloaking": {"plugins": {"sessionIdentity": "yes"}}},
            "cloaking.plugins.sessionIdentity: must be true, false or a mapping of options,"
            ' got "yes"',
            id="plugin",
        ),
        pytest.param(
            {"cloaking": {"plugins": {"tlsFingerprint": {"pins": {"a.b": ["x"]}}}}},
            'cloaking.plugins.tlsFingerprint.pins["a.b"][0]: must be the SHA-256 of a certificate,'
            ' 64 hexadecimal digits, got "x"',
            id="fingerprint",
        ),
        pytest.param(
            {"logging": {"max-age-days": datetime.date(2026, 1, 1)}},
            "logging.max-age-days: must be a whole number ≥ 1, got a date",
            id="yaml-date",
        ),
        pytest.param([], "the configuration: must be a mapping of keys and values, got a list",
            id="not-a-mapping"),
        pytest.param("x", 'the configuration: must be a mapping of keys and values, got "x"',
            id="not-even-a-list"),
        pytest.param({True: 1}, "True: is a key that reads as true: write it in quotes",
            id="key-on"),
        pytest.param({"providers": {3: {}}}, "providers.3: is a key that reads as 3: write it in"
            " quotes", id="key-number"),
    ],
)  # fmt: skip
def test_a_fault_names_the_place_what_must_be_and_what_is(document: object, expected: str) -> None:
    assert faults(document) == [expected]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (account(weigth=1), 'accounts.anthropic[0].weigth: unknown key, did you mean "weight"?'),
        (
            account(api_key="x"),
            'accounts.anthropic[0].api_key: unknown key, did you mean "api-key"?',
        ),
        (
            {"routing": {"primary-acount": "x"}},
            'routing.primary-acount: unknown key, did you mean "primary-account"?',
        ),
        (
            {"cloaking": {"plugins": {"headerScruber": True}}},
            'cloaking.plugins.headerScruber: unknown key, did you mean "headerScrubber"?',
        ),
        (
            {"providers": {"openai": {"zzz": 1}}},
            "providers.openai.zzz: unknown key, known here: baseUrl, apiKey, api",
        ),
        (
            {"routing": {"fallback-chain": [{"provider": "groq", "model": "y", "modle": 1}]}},
            'routing.fallback-chain[0].modle: unknown key, did you mean "model"?',
        ),
        ({"acounts": {}}, 'acounts: unknown key, did you mean "accounts"?'),
        ({"accounts": {"openai": []}}, "accounts.openai: unknown key, known here: anthropic"),
    ],
    ids=["account", "snake", "kebab", "plugin", "nothing-near", "list-item", "top", "group"],
)
def test_an_unknown_key_names_the_nearest_known_one(document: object, expected: str) -> None:
    assert faults(document) == [expected]


def test_both_spellings_of_a_key_at_once_are_a_fault() -> None:
    assert faults({"routing": {"daily-cap-usd": 1, "dailyCapUsd": 2}}) == [
        'routing.daily-cap-usd: is given twice, as "dailyCapUsd" and as "daily-cap-usd": leave one'
    ]


def test_duplicate_account_names_are_faults() -> None:
    names = ["a", "b", "a", "a"]
    assert faults({"accounts": {"anthropic": [{"name": name} for name in names]}}) == [
        'accounts.anthropic[2].name: "a" is already the name of accounts.anthropic[0]',
        'accounts.anthropic[3].name: "a" is already the name of accounts.anthropic[0]',
    ]


@pytest.mark.parametrize(
    ("named", "labels"),
    [
        ([None], ["unnamed"]),
        ([None, None, None], ["unnamed", "unnamed-2", "unnamed-3"]),
        ([None, "unnamed", None], ["unnamed-2", "unnamed", "unnamed-3"]),
        (["work", None], ["work", "unnamed"]),
    ],
    ids=["one", "several", "taken", "beside others"],
)
def test_an_account_without_a_name_has_a_label_of_its_own(
    named: list[str | None], labels: list[str]
) -> None:
    listed = [{"weight": 2} | ({"name": name} if name else {}) for name in named]
    config = parse({"accounts": {"anthropic": listed}}, {}).config
    assert [account.name for account in config.accounts] == labels


@pytest.mark.parametrize("listed", [["x"], [None], "x", {"name": "a"}, [{"name": ["a"]}]])
def test_what_is_no_account_is_a_fault_all_the_same(listed: object) -> None:
    assert faults({"accounts": {"anthropic": listed}})


def test_a_name_is_a_duplicate_only_once_resolved() -> None:
    pair = [{"name": "two"}, {"name": "${WORD}"}]
    assert len(faults({"accounts": {"anthropic": pair}})) == 1


def test_an_unresolved_variable_names_the_key_and_the_variable_once() -> None:
    assert faults(account(weight="${NONE}", apiKey="${GONE}")) == [
        "accounts.anthropic[0].weight: the variable NONE is not set, neither in the environment nor in .env",
        "accounts.anthropic[0].apiKey: the variable GONE is not set, neither in the environment nor in .env",
    ]


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    found = faults(
        {
            "timeouts": {"idle": 0},
            "accounts": {
                "anthropic": [
                    {"name": "a", "apiKey": "${NONE}"},
                    {"name": "a", "weight": "two", "zzz": 1},
                    {"baseUrl": "x"},
                ]
            },
            "cloaking": {"mode": "sometimes"},
        }
    )
    assert [fault.split(": ")[0] for fault in found] == [
        "timeouts.idle",
        "accounts.anthropic[0].apiKey",
        "accounts.anthropic[1].name",
        "accounts.anthropic[1].weight",
        "accounts.anthropic[1].zzz",
        "accounts.anthropic[2].baseUrl",
        "cloaking.mode",
    ]


def test_an_empty_key_names_its_variable() -> None:
    assert faults(account(apiKey="${EMPTY}")) == [
        'accounts.anthropic[0].apiKey: must not be empty, got "${EMPTY}"'
    ]


@pytest.mark.parametrize(
    "document",
    [
        account(apiKey=["hunter2"]),
        account(apiKey={"hunter2": 1}),
        account(apiKey="hunter2 hunter2"),
        account(apiKey="hünter2-hunter2"),
        account(proxyUrl="socks5://user:hunter2@host"),
        account(baseUrl="http://user:hunter2@host"),
        account(weight="${KEY_1}"),
        account(weight=KEY),
        account(excludedModels=f"{KEY}"),
        account(excludedModels={KEY: 1}),
        account(**{KEY: 1}),
        {"clients": {"api-keys": "hunter2-sk-ant-x"}},
        {"clients": {"api-keys": ["hunter2 x"]}},
        {"providers": {"openai": {"apiKey": "hunter2 x"}}},
        {"providers": {"openai": KEY}},
        {"accounts": {"anthropic": [KEY]}},
        {"accounts": {"anthropic": KEY}},
        {"defaultBaseUrl": "https://host/?key=hunter2"},
    ],
)
def test_no_fault_prints_a_secret(document: object) -> None:
    assert "hunter2" not in "\n".join(faults(document))


# --- warnings


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (account(apiKey=KEY), "accounts.anthropic[0].apiKey"),
        (account(**{"api-key": KEY}), "accounts.anthropic[0].api-key"),
        (account(apiKey=f"${{NONE:-{KEY}}}"), "accounts.anthropic[0].apiKey"),
        (account(proxyUrl="http://user:hunter2@host"), "accounts.anthropic[0].proxyUrl"),
        ({"clients": {"api-keys": ["${KEY_1}", KEY]}}, "clients.api-keys[1]"),
        ({"providers": {"openai": {"apiKey": KEY}}}, "providers.openai.apiKey"),
    ],
    ids=["key", "kebab", "default", "proxy-password", "client-key", "provider-key"],
)
def test_a_plaintext_key_draws_a_warning(document: object, place: str) -> None:
    (warning,) = parse(document, ENV).warnings
    assert warning == (
        f"{place}: holds a key or password in plain text: better ${{VAR}}, and VAR in .env"
    )


@pytest.mark.parametrize(
    "document",
    [
        account(apiKey="${KEY_1}"),
        account(apiKey="${NONE:-${KEY_1}}"),
        account(proxyUrl="http://user:${KEY_1}@host"),
        account(proxyUrl="http://host:3128"),
        account(metadata={"when": "http://a:b"}),
    ],
    ids=["variable", "nested", "password-variable", "proxy", "no-url"],
)
def test_what_is_no_plaintext_key_draws_none(document: object) -> None:
    assert parse(document, ENV).warnings == ()


@pytest.mark.parametrize(
    ("plugin", "needs"),
    [
        ("tlsFingerprint", "pins"),
        ("system-prompt-injector", "blocks"),
        ("wordObfuscator", "words or patterns or detectors or domains"),
    ],
)
def test_a_plugin_that_is_on_with_nothing_to_do_is_a_warning(plugin: str, needs: str) -> None:
    (warning,) = parse({"cloaking": {"plugins": {plugin: True}}}, {}).warnings
    assert warning == f"cloaking.plugins.{plugin}: is on, but has nothing to do without {needs}"


PROTECTING = [
    ("tlsFingerprint", {"pins": {"a.b": ["ab" * 32]}}),
    ("wordObfuscator", {"words": ["x"]}),
]


@pytest.mark.parametrize(("plugin", "options"), PROTECTING, ids=["pins", "words"])
@pytest.mark.parametrize(("mode", "count"), [("auto", 1), ("always", 0), ("never", 0)])
def test_what_protects_subscriptions_only_is_a_warning(
    plugin: str, options: object, mode: str, count: int
) -> None:
    document = {"cloaking": {"mode": mode, "plugins": {plugin: options}}}
    warnings = parse(document, {}).warnings
    assert [f"plugins.{plugin}: protects requests on sub" in each for each in warnings] == [
        True
    ] * count


# --- whatever comes


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.text() | st.sampled_from(["accounts", "anthropic", "name", "routing", "plugins", "pins",
            "cloaking", "clients", "api-keys", "apiKey", "providers", "timeouts", "metadata"]),
        inner,
    ),
)  # fmt: skip


@given(documents)
def test_any_document_is_a_configuration_or_a_list_of_faults(document: object) -> None:
    with suppress(ConfigError):
        parse(document, ENV)


def test_a_configuration_prints_no_secret() -> None:
    document = {**account(apiKey=KEY, proxyUrl="http://user:hunter2@host"),
        "clients": {"api-keys": [KEY]}, "providers": {"openai": {"apiKey": KEY}}}  # fmt: skip
    assert "hunter2" not in repr(parse(document, ENV))


def test_pydantic_is_not_imported() -> None:
    code = "import sys, neurolink_mitm.app.wiring; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("price", "fault"),
    [
        ({"input": -1, "output": 1}, "prices.gpt.input: must be a number ≥ 0, got -1"),
        ({"input": "cheap", "output": 1}, 'prices.gpt.input: must be a number ≥ 0, got "cheap"'),
        ({"input": True, "output": 1}, "prices.gpt.input: must be a number ≥ 0, got true"),
        ({"input": 1}, "prices.gpt.output: is required"),
        ({"input": 1, "output": 1, "cached": 1}, "prices.gpt.cached: "),
        (3, "prices.gpt: must be a mapping of keys and values, got 3"),
    ],
    ids=["negative", "no-number", "flag", "missing", "unknown-key", "no-mapping"],
)
def test_a_price_that_is_none(price: object, fault: str) -> None:
    [found] = faults({"prices": {"gpt": price}})
    assert found.startswith(fault)


def test_prices_in_both_spellings() -> None:
    told = {"input": 1, "output": "${NUMBER}", "cache-write-5m": 0.5, "cacheWrite1h": 3}
    config = parse({"prices": {"claude-*": told}}, ENV).config
    assert config.prices == {"claude-*": ModelPrice(1, 2.5, None, 0.5, 3)}
