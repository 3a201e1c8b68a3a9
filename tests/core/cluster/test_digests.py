"""What replicas should have in common: which settings count, and that secrets don't."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cluster.digests import digests
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.dashboard import Dashboard
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins, WordObfuscator
from neurolink_mitm.core.settings.values import (
    Clients,
    Config,
    Logging,
    Provider,
    Routing,
    Timeouts,
)
from tests.fakes import make_account

CONFIG = Config()
WORK = make_account("work")


def made(config: Config = CONFIG, **changes: Any) -> dict[str, str]:
    known: dict[str, Any] = {"strategy": "fill-first", "accounts": [WORK], "clients": ()}
    return digests(config, **known | {"namespace": "nl"} | changes)


def changed(config: Config = CONFIG, **changes: Any) -> set[str]:
    """The parts that differ from those of the default configuration."""
    before = made()
    return {name for name, each in made(config, **changes).items() if each != before[name]}


@pytest.mark.parametrize(
    ("config", "part"),
    [
        (replace(CONFIG, routing=Routing(hold=5)), "routing"),
        (replace(CONFIG, timeouts=Timeouts(total=5)), "timeouts"),
        (replace(CONFIG, clients=Clients(api_keys=(Secret("x"),))), "clients"),
        (replace(CONFIG, providers={"openai": Provider(base_url="https://a.example")}), "providers"),
        (replace(CONFIG, cloaking=Cloaking(mode="never")), "cloaking"),
    ],
    ids=["routing", "timeouts", "clients", "providers", "cloaking"],
)  # fmt: skip
def test_a_part_that_differs_is_named(config: Config, part: str) -> None:
    assert changed(config) == {part}


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, logging=Logging(max_age_days=1)),
        replace(CONFIG, dashboard=Dashboard(port=1)),
    ],
    ids=["logging", "dashboard"],
)
def test_what_is_each_machine_s_own_may_differ(config: Config) -> None:
    assert changed(config) == set()


def test_accounts_and_their_settings() -> None:
    assert changed(accounts=[]) == {"accounts", "account settings"}
    assert changed(accounts=[replace(WORK, weight=2.0)]) == {"account settings"}
    assert changed(accounts=[WORK, replace(WORK)][::-1]) == {"accounts", "account settings"}


def test_the_order_of_accounts_is_no_difference() -> None:
    home = make_account("home")
    assert made(accounts=[WORK, home]) == made(accounts=[home, WORK])


def test_the_strategy_of_a_start_counts() -> None:
    assert changed(strategy="round-robin") == {"routing"}


def test_limits_of_client_keys_count() -> None:
    keys = [ClientKey("ann", "0" * 64, 1.0)]
    assert changed(clients=keys) == {"clients"}
    assert made(clients=keys) != made(clients=[replace(keys[0], rate=5)])


def test_secrets_change_nothing() -> None:
    """A digest of a short text could be guessed."""
    words = Cloaking(plugins=Plugins(word_obfuscator=WordObfuscator(words=("apollo",))))
    keyed = {"openai": Provider(api_key=Secret("sk-x"))}
    other = {"openai": Provider(api_key=Secret("sk-y"))}
    assert changed(replace(CONFIG, cloaking=words)) <= {"cloaking"}
    assert made(replace(CONFIG, cloaking=words)) == made(
        replace(CONFIG, cloaking=Cloaking(plugins=Plugins(word_obfuscator=WordObfuscator(words=("x",)))))
    )  # fmt: skip
    assert made(replace(CONFIG, providers=keyed)) == made(replace(CONFIG, providers=other))
    assert changed(accounts=[replace(WORK, secret=Secret("another"))]) == set()
    assert changed(accounts=[replace(WORK, proxy_url="http://u:p@x")]) == set()


def test_namespaces_have_digests_of_their_own() -> None:
    assert set(made().values()).isdisjoint(made(namespace="other").values())
