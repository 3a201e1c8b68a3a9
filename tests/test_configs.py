"""The example configuration that is shipped: it loads, as it is and with everything switched on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from neurolink_mitm.cli.proxy.setup import STARTER
from neurolink_mitm.config.document import ONLY_SUBSCRIPTIONS, LoadedConfig
from neurolink_mitm.config.file import load
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError, spellings
from neurolink_mitm.core.settings.values import AccountConfig, Config, ConfigFile

EXAMPLE = Path(__file__).parent.parent / "configs" / "proxy.yaml"
ENV = {
    "KEY_1": "sk-ant-test-1",
    "KEY_2": "sk-ant-oat-test-2",
    "CLIENT_KEY": "client",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "OPENAI_API_KEY": "openai",
    "AZURE_API_KEY": "azure",
    "NOTIFY_SECRET": "notify",
}


def switched_on(text: str) -> str:
    """The file with its settings uncommented: those where `#` stands right before a word."""
    return re.sub(r"^( *)#(?=[^ #\n])", r"\1", text, flags=re.MULTILINE)


@pytest.fixture
def everything(tmp_path: Path) -> LoadedConfig:
    path = tmp_path / "proxy.yaml"
    path.write_text(switched_on(EXAMPLE.read_text()))
    return load(path, ENV)


def test_it_loads_and_shows_the_defaults() -> None:
    loaded = load(EXAMPLE, ENV)
    assert loaded.warnings == ()
    primary = AccountConfig("primary", Secret("sk-ant-test-1"))
    assert loaded.config == Config(accounts=(primary,))


def test_it_needs_only_the_variables_it_names() -> None:
    with pytest.raises(
        ConfigError,
        match="apiKey: the variable KEY_1 is not set, neither in",
    ):
        load(EXAMPLE, {})


def test_it_loads_with_everything_switched_on(everything: LoadedConfig) -> None:
    # the example has the mode that is the default
    assert [each for each in everything.warnings if ONLY_SUBSCRIPTIONS not in each] == []
    config = everything.config
    assert [account.name for account in config.accounts] == ["primary", "overflow"]
    assert config.accounts[1].metadata == {"team": "research"}
    assert config.clients.api_keys == (Secret("client"),)
    assert config.providers["openai"].api_key == Secret("openai")
    assert config.routing.fallback_chain[0].provider == "google-ai"
    assert config.cloaking.plugins.tls_fingerprint.pins.keys() == {"api.anthropic.com"}


def keys_of(kind: Any) -> set[tuple[str, str]]:
    """Both spellings of all keys in a section and those below."""
    keys = set()
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        keys = {spellings(field.name) for field in fields(kind)}
        return keys.union(*(keys_of(hints[field.name]) for field in fields(kind)))
    return keys.union(*(keys_of(part) for part in get_args(kind)))


def test_it_shows_every_key_there_is() -> None:
    shown = set(re.findall(r"([\w-]+)\"?:", switched_on(EXAMPLE.read_text())))
    missing = [camel for camel, kebab in keys_of(ConfigFile) if not shown & {camel, kebab}]
    assert missing == []


@pytest.mark.parametrize("change", [str, switched_on], ids=["as-it-is", "switched-on"])
def test_the_starter_loads(tmp_path: Path, change: Callable[[str], str]) -> None:
    """What `proxy setup` writes where there is nothing."""
    path = tmp_path / "proxy-config.yaml"
    path.write_text(change(resources.files("neurolink_mitm.config").joinpath(STARTER).read_text()))
    loaded = load(path, {"ANTHROPIC_OVERFLOW_KEY": "sk-ant-test-1"})
    assert loaded.warnings == ()
    if change is str:
        assert loaded.config == Config()
