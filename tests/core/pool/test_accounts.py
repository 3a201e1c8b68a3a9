from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.pool.accounts import (
    Account,
    build_pool,
    missing_in_order,
    missing_primary,
    unused_settings,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import AccountConfig, Config, Routing
from tests.linear import assert_linear

ENVIRONMENT_KEY = Secret("sk-ant-test-environment")
LEGACY = StoredAccount("default", Secret("sk-ant-oat-test-legacy"), Secret("r"), 5.0)


def login(label: str, token: str = "", **known: object) -> StoredAccount:
    """A stored subscription."""
    stored = StoredAccount(label, Secret(token or f"sk-ant-oat-test-{label}"), Secret("refresh"))
    return replace(stored, **known)  # type: ignore[arg-type]


def key(label: str, token: str = "", **settings: object) -> AccountConfig:
    """A configured API key."""
    account = AccountConfig(label, Secret(token or f"sk-ant-test-{label}"))
    return replace(account, **settings)  # type: ignore[arg-type]


def config(
    *accounts: AccountConfig, primary: str | None = None, order: tuple[str, ...] = ()
) -> Config:
    return Config(accounts=accounts, routing=Routing(primary_account=primary, account_order=order))


def labels(pool: tuple[Account, ...]) -> list[str]:
    return [account.label for account in pool]


# --- sources


def test_store_and_configuration_together_are_the_pool() -> None:
    pool = build_pool(config(key("c")), [login("s")], LEGACY, ENVIRONMENT_KEY)
    assert [(a.key, a.source) for a in pool] == [
        ("anthropic:s", "store"),
        ("anthropic:c", "config"),
    ]


@pytest.mark.parametrize(
    ("configured", "stored", "legacy", "environment", "expected"),
    [
        ((), [login("s")], LEGACY, ENVIRONMENT_KEY, ["s"]),
        ((key("c"),), [], LEGACY, ENVIRONMENT_KEY, ["c"]),
        ((), [], LEGACY, ENVIRONMENT_KEY, ["default"]),
        ((), [], None, ENVIRONMENT_KEY, ["env"]),
        ((), [], None, None, []),
        ((AccountConfig("settings-only"),), [], LEGACY, None, ["default"]),
        ((key("c", enabled=False),), [], LEGACY, ENVIRONMENT_KEY, ["c"]),
        ((), [login("s", disabled="invalid_grant")], LEGACY, ENVIRONMENT_KEY, ["s"]),
    ],
    ids=["store", "config", "legacy", "environment", "nothing", "settings-only", "off", "disabled"],
)
def test_later_sources_count_only_when_the_earlier_have_nothing(
    configured: tuple[AccountConfig, ...],
    stored: list[StoredAccount],
    legacy: StoredAccount | None,
    environment: Secret | None,
    expected: list[str],
) -> None:
    assert labels(build_pool(config(*configured), stored, legacy, environment)) == expected


def test_the_legacy_account_can_be_refreshed() -> None:
    (account,) = build_pool(config(), [], LEGACY, None)
    assert (account.source, account.type) == ("legacy", "oauth")
    assert (account.refreshable, account.expires_at) == (True, 5.0)


@pytest.mark.parametrize(
    ("token", "kind"), [("sk-ant-test-1", "api_key"), ("sk-ant-oat-test-1", "oauth")]
)
def test_the_environments_key_is_an_account_of_the_type_it_looks_like(
    token: str, kind: str
) -> None:
    (account,) = build_pool(Config(default_base_url="http://h"), [], None, Secret(token))
    assert (account.type, account.source, account.base_url) == (kind, "environment", "http://h")


def test_settings_apply_to_the_legacy_account_too() -> None:
    (account,) = build_pool(config(AccountConfig("default", weight=3)), [], LEGACY, None)
    assert account.weight == 3


# --- settings


def test_a_stored_account_keeps_what_is_known_of_it() -> None:
    stored = login("s", account_uuid="u", organization_uuid="o", email="e", expires_at=9.0)
    (account,) = build_pool(config(), [replace(stored, disabled="why")], None, None)
    assert (account.account_uuid, account.organization_uuid, account.email) == ("u", "o", "e")
    assert (account.expires_at, account.refreshable, account.disabled) == (9.0, True, "why")
    assert account.base_url == "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("stored", "refreshable"),
    [
        (login("s"), True),
        (login("s", refresh_token=None), False),
        (login("s", "sk-ant-test-key"), False),
    ],
    ids=["login", "no-refresh-token", "api-key"],
)
def test_only_logins_with_a_refresh_token_are_refreshable(
    stored: StoredAccount, refreshable: bool
) -> None:
    assert build_pool(config(), [stored], None, None)[0].refreshable is refreshable


def test_a_configured_name_gives_its_settings_to_the_stored_account() -> None:
    settings = AccountConfig(
        "s",
        base_url="http://h",
        org_id="org",
        weight=2,
        priority=3,
        enabled=False,
        rate_limit=4,
        max_concurrent=5,
        excluded_models=("m",),
        proxy_url="direct",
        metadata={"team": "x"},
    )
    assert build_pool(config(settings), [login("s")], None, None) == (
        Account(
            key="anthropic:s",
            label="s",
            type="oauth",
            secret=Secret("sk-ant-oat-test-s"),
            base_url="http://h",
            organization_uuid="org",
            weight=2,
            priority=3,
            enabled=False,
            rate_limit=4,
            max_concurrent=5,
            excluded_models=("m",),
            proxy_url="direct",
            refreshable=True,
            source="store",
            metadata={"team": "x"},
        ),
    )


def test_a_configured_key_replaces_the_stored_one_and_what_is_known_of_it() -> None:
    stored = login("s", account_uuid="u", email="e", expires_at=1.0, disabled="invalid_grant")
    (account,) = build_pool(config(key("s", priority=2)), [stored], None, None)
    assert (account.secret.reveal(), account.type, account.source) == (
        "sk-ant-test-s", "api_key", "config",
    )  # fmt: skip
    assert (account.account_uuid, account.email, account.expires_at) == (None, None, None)
    assert (account.refreshable, account.disabled, account.priority) == (False, None, 2)


def test_the_stored_token_written_out_in_the_configuration_stays_refreshable() -> None:
    settings = key("s", "sk-ant-oat-test-s", weight=2)
    (account,) = build_pool(config(settings), [login("s")], None, None)
    assert (account.source, account.refreshable, account.weight) == ("store", True, 2)


def test_the_organisation_of_a_login_outranks_the_configured_one() -> None:
    stored = login("s", organization_uuid="known")
    (account,) = build_pool(config(AccountConfig("s", org_id="said")), [stored], None, None)
    assert account.organization_uuid == "known"


def test_settings_without_any_credential_are_told() -> None:
    settings = config(AccountConfig("typo"), AccountConfig("s"), key("c"))
    pool = build_pool(settings, [login("s")], None, None)
    assert unused_settings(settings, pool) == ("typo",)


@pytest.mark.parametrize(
    ("primary", "missing"),
    [(None, None), ("s", None), ("anthropic:s", None), ("nobody", "nobody")],
)
def test_a_primary_account_that_there_is_not(primary: str | None, missing: str | None) -> None:
    pool = build_pool(Config(), [login("s")], None, None)
    settings = Config(routing=Routing(primary_account=primary))
    assert missing_primary(settings, pool) == missing


# --- one account, once


@pytest.mark.parametrize(
    ("configured", "stored", "expected"),
    [
        ((key("a", "sk-ant-test-1"), key("b", "sk-ant-test-1")), [], ["a"]),
        ((key("a", "sk-ant-oat-test-s"),), [login("s")], ["s"]),
        ((), [login("a", "sk-ant-test-1"), login("b", "sk-ant-test-1")], ["a"]),
    ],
    ids=["configured-twice", "stored-and-configured", "stored-twice"],
)
def test_the_same_credential_twice_is_one_account(
    configured: tuple[AccountConfig, ...], stored: list[StoredAccount], expected: list[str]
) -> None:
    assert labels(build_pool(config(*configured), stored, None, None)) == expected


def test_an_entry_that_is_two_accounts_is_the_first() -> None:
    """And so is who comes after it and has something in common with it."""
    one, two = ({"account_uuid": uuid, "organization_uuid": "o"} for uuid in "uv")
    stored = [
        login("a", "sk-ant-oat-1", expires_at=1.0, **one),
        login("b", "sk-ant-oat-2", expires_at=1.0, **two),
        login("c", "sk-ant-oat-2", expires_at=3.0, **one),
        login("d", "sk-ant-oat-4", expires_at=2.0, **two),
        login("e", "sk-ant-oat-2", expires_at=4.0),
    ]
    assert labels(build_pool(config(), stored, None, None)) == ["e", "d"]


def test_many_accounts_are_read_in_linear_time() -> None:
    def listed(size: int) -> tuple[Config, list[StoredAccount]]:
        names = [str(n) for n in range(size // 100)]
        logins = [login(name, account_uuid=name, organization_uuid="o") for name in names]
        return config(*(key(f"k{name}") for name in names)), logins

    assert_linear(lambda sources: build_pool(*sources, None, None), listed)


def test_of_two_logins_to_one_account_the_one_that_lasts_longer_is_used() -> None:
    same = {"account_uuid": "u", "organization_uuid": "o"}
    stored = [
        login("old", expires_at=1.0, **same),
        login("x"),
        login("new", expires_at=2.0, **same),
    ]
    assert labels(build_pool(config(), stored, None, None)) == ["new", "x"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("u", "o-1"), ("u", "o-2")),
        (("u-1", "o"), ("u-2", "o")),
        (("u", None), ("u", None)),
        ((None, "o"), (None, "o")),
        ((None, None), (None, None)),
    ],
    ids=["two-organisations", "two-accounts", "no-organisation", "no-account", "nothing-known"],
)
def test_what_may_be_two_accounts_stays_two(
    one: tuple[str | None, str | None], other: tuple[str | None, str | None]
) -> None:
    stored = [
        login(label, email="me@example.com", account_uuid=account, organization_uuid=organization)
        for label, (account, organization) in (("a", one), ("b", other))
    ]
    assert labels(build_pool(config(), stored, None, None)) == ["a", "b"]


def test_a_primary_account_that_goes_by_another_name_is_still_first() -> None:
    accounts = config(key("first"), key("named", "sk-ant-oat-test-s"), primary="named")
    assert labels(build_pool(accounts, [login("x"), login("s")], None, None)) == ["s", "x", "first"]


# --- order


def test_subscriptions_come_before_keys_within_a_priority() -> None:
    stored = [login("k", "sk-ant-test-k"), login("s")]
    accounts = config(key("c"), key("o", "sk-ant-oat-test-o"), key("high", priority=1))
    pool = build_pool(accounts, stored, None, None)
    assert labels(pool) == ["high", "s", "o", "k", "c"]


@pytest.mark.parametrize("primary", ["c", "low"])
def test_the_primary_account_is_first_whatever_its_priority(primary: str) -> None:
    accounts = config(key("c"), key("low", priority=-5), key("high", priority=9), primary=primary)
    assert labels(build_pool(accounts, [login("s")], None, None))[0] == primary


def test_a_primary_account_that_does_not_exist_changes_nothing() -> None:
    accounts = config(key("a"), key("b"), primary="gone")
    assert labels(build_pool(accounts, [], None, None)) == ["a", "b"]


names = st.lists(st.text("abcdef", min_size=1, max_size=2), unique=True, max_size=8)
tokens = st.sampled_from(["sk-ant-oat-test-", "sk-ant-test-"])
priorities = st.integers(-2, 2)


@st.composite
def sources(draw: st.DrawFn) -> tuple[Config, list[StoredAccount]]:
    """A configuration and a store whose credentials are all different; names may meet."""
    configured = [
        AccountConfig(
            name,
            draw(st.none() | tokens.map(lambda t, n=name: Secret(f"{t}config-{n}"))),
            priority=draw(priorities),
        )
        for name in draw(names)
    ]
    stored = [StoredAccount(name, Secret(f"{draw(tokens)}{name}")) for name in draw(names)]
    primary = draw(st.none() | st.text("abcdef", min_size=1, max_size=2))
    return config(*configured, primary=primary), stored


@given(sources())
def test_no_account_is_lost_or_made_up(drawn: tuple[Config, list[StoredAccount]]) -> None:
    settings, stored = drawn
    pool = build_pool(settings, stored, None, None)
    expected = {s.label for s in stored} | {c.name for c in settings.accounts if c.api_key}
    assert sorted(labels(pool)) == sorted(expected)


@given(sources())
def test_the_order_is_primary_then_priority_then_subscriptions(
    drawn: tuple[Config, list[StoredAccount]],
) -> None:
    settings, stored = drawn
    pool = build_pool(settings, stored, None, None)
    primary = settings.routing.primary_account
    if primary in labels(pool):
        assert pool[0].label == primary
    rest = [account for account in pool if account.label != primary]
    order = [(-account.priority, account.type == "api_key") for account in rest]
    assert order == sorted(order)


def test_the_order_counts_within_priority_and_kind() -> None:
    stored = [login("a"), login("b"), login("c")]
    keys = (key("k"), key("l", priority=1), key("m"))
    settings = config(*keys, primary="a", order=("m", "c", "nobody", "l"))
    assert labels(build_pool(settings, stored, None, None)) == ["a", "l", "c", "b", "m", "k"]
    assert missing_in_order(settings, build_pool(settings, stored, None, None)) == ("nobody",)


@given(sources())
def test_the_pool_is_stable(drawn: tuple[Config, list[StoredAccount]]) -> None:
    """The same sources give the same pool: reloading an unchanged file changes nothing."""
    settings, stored = drawn
    assert build_pool(settings, stored, None, None) == build_pool(settings, stored, None, None)


def test_accounts_can_be_hashed_and_print_no_secret() -> None:
    account = replace(
        build_pool(config(key("a", metadata={"x": []})), [], None, None)[0],
        proxy_url="http://user:hunter2@h",
    )
    assert isinstance(hash(account), int)
    assert "hunter2" not in repr(account)
    assert "sk-ant" not in repr(account)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([login("old", "t", disabled="by its owner", expires_at=9.0), login("new", "t")], "new"),
        ([login("new", "t"), login("old", "t", disabled="needs login", expires_at=9.0)], "new"),
        ([login("a", "t", disabled="x"), login("b", "t", disabled="x", expires_at=9.0)], "b"),
    ],
    ids=["the first is disabled", "the second is disabled", "both are"],
)
def test_a_disabled_entry_hides_no_enabled_one_of_the_same_account(
    stored: list[StoredAccount], expected: str
) -> None:
    assert labels(build_pool(config(), stored, None, None)) == [expected]


def test_an_entry_that_is_not_enabled_hides_none_of_the_same_key() -> None:
    pool = build_pool(config(key("off", "k", enabled=False), key("on", "k")), [], None, None)
    assert [(each.label, each.enabled) for each in pool] == [("on", True)]
