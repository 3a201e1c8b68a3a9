"""Every field of the configuration takes effect at a reload, as it does at a start.

A start and a reload are compared by all that hangs together with the runtime: whatever some part keeps of the
configuration must be the same after both.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from types import FunctionType, MethodType
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from neurolink_mitm.adapters.cluster_key import make_cluster_key
from neurolink_mitm.app.run import data_plane, trusted
from neurolink_mitm.app.wiring import Settings, prepare
from neurolink_mitm.config.reloader import Reloader
from neurolink_mitm.config.schema import entries
from neurolink_mitm.config.sources import Sources
from neurolink_mitm.core.auth.client_keys import ClientKey, digest, encode_client_keys
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.stack import stack
from tests.certificates import make_pair
from tests.connect_proxy import Authority

BASE: dict[str, Any] = {
    "accounts": {"anthropic": [{"name": "a", "apiKey": "${KEY}"}, {"name": "b", "apiKey": "k-b"}]},
    "routing": {
        "modelMappings": [{"from": "a-*", "to": "claude-x"}],
        "fallbackChain": [{"provider": "openai", "model": "gpt-x"}],
    },
    "clients": {"apiKeys": ["client-key-1"]},
    "providers": {"openai": {"apiKey": "sk-test-openai"}},
    "listen": {"cert": "tls.crt", "key": "tls.key"},
    "cluster": {"url": "redis://127.0.0.1:1/0"},
    "notify": {"webhook": "https://hooks.example/a", "secret": "a-secret", "command": ["a"]},
    "prices": {"gpt-x": {"input": 1, "output": 2}},
    "cloaking": {
        "plugins": {
            "tlsFingerprint": {"pins": {"a.example": ["ab" * 32]}},
            "systemPromptInjector": {"blocks": ["a text"]},
            "wordObfuscator": {"words": ["blackbird"]},
        }
    },
}
ENVIRON = {"KEY": "sk-ant-test-a", "OTHER": "sk-ant-test-other", "MISTRAL_API_KEY": "m"}
PLUGIN = """
class Mine:
    def rewrite(self, draft):
        return draft
"""
CHANGED: dict[str, Any] = {
    "defaultBaseUrl": "http://127.0.0.1:9",
    "routing.strategy": "round-robin",
    "routing.primaryAccount": "b",
    "routing.accountOrder": ["b"],
    "routing.sessionAffinity": False,
    "routing.modelMappings[].from": "b-*",
    "routing.modelMappings[].to": "claude-y",
    "routing.modelMappings[].provider": "mistral",
    "routing.fallbackChain[].provider": "mistral",
    "routing.fallbackChain[].model": "gpt-y",
    "routing.passthroughModels": ["claude-z"],
    "routing.hold": 90,
    "routing.payPerUse": "never",
    "routing.dailyCapUsd": 1.5,
    "timeouts.connect": 1,
    "timeouts.firstEvent": 1,
    "timeouts.idle": 1,
    "timeouts.total": 1,
    "timeouts.drain": 1,
    "clients.apiKeys": ["client-key-2"],
    "providers.*.baseUrl": "http://127.0.0.1:9",
    "providers.*.api": "chat",
    "providers.*.apiKey": "sk-test-other",
    "prices.*.input": 3,
    "prices.*.output": 3,
    "prices.*.cacheRead": 3,
    "prices.*.cacheWrite5m": 3,
    "prices.*.cacheWrite1h": 3,
    "oauth.authorizeUrl": "http://127.0.0.1:9/a",
    "oauth.tokenUrls": ["http://127.0.0.1:9/t"],
    "oauth.redirectUri": "http://127.0.0.1:9/r",
    "oauth.clientId": "c",
    "oauth.scopes": ["s"],
    "cloaking.mode": "always",
    "cloaking.plugins.tlsFingerprint.enabled": False,
    "cloaking.plugins.tlsFingerprint.pins": {"b.example": ["cd" * 32]},
    "cloaking.plugins.headerScrubber.enabled": False,
    "cloaking.plugins.headerScrubber.headers": ["x-mine"],
    "cloaking.plugins.sessionIdentity.enabled": False,
    "cloaking.plugins.systemPromptInjector.enabled": False,
    "cloaking.plugins.systemPromptInjector.blocks": ["text"],
    "cloaking.plugins.wordObfuscator.enabled": False,
    "cloaking.plugins.wordObfuscator.words": ["bluebird"],
    "cloaking.plugins.wordObfuscator.patterns": ["blue.*"],
    "cloaking.plugins.wordObfuscator.detectors": ["ipv4"],
    "cloaking.plugins.wordObfuscator.domains": ["corp.example"],
    "cloaking.plugins.custom": ["mine.py"],
    "network.caBundle": "ca.pem",
    "network.idle": 0,
    "network.warm": 3,
    "notify.desktop": True,
    "notify.webhook": "https://hooks.example/b",
    "notify.secret": "another-secret",
    "notify.command": ["b"],
    "notify.on": ["cap"],
    "notify.quiet": "1:00-2:00",
    "logging.maxAgeDays": 3,
    "logging.maxSizeMb": 3,
    "logging.rollupDays": 3,
    "logging.captureBodies": "all",
    "listen.cert": "renewed.crt",
    "listen.key": "renewed.key",
    "listen.hosts": ["pool.example.com"],
    "cluster.url": "redis://127.0.0.1:2/0",
    "cluster.namespace": "other",
    "cluster.keyFile": "other.key",
    "cluster.insecure": True,
    "dashboard.enabled": False,
    "dashboard.host": "localhost",
    "dashboard.port": 9,
    "dashboard.readOnly": True,
    "accounts.anthropic[].name": "c",
    "accounts.anthropic[].apiKey": "${OTHER}",
    "accounts.anthropic[].baseUrl": "http://127.0.0.1:9",
    "accounts.anthropic[].orgId": "org",
    "accounts.anthropic[].weight": 3,
    "accounts.anthropic[].priority": 3,
    "accounts.anthropic[].enabled": False,
    "accounts.anthropic[].rateLimit": 3,
    "accounts.anthropic[].maxConcurrent": 3,
    "accounts.anthropic[].excludedModels": ["claude-z"],
    "accounts.anthropic[].proxyUrl": "direct",
    "accounts.anthropic[].metadata": {"note": 1},
}
"""By the key's path, another value than that of `BASE`."""
READ_WHEN_NEEDED = {
    "defaultBaseUrl",
    "routing.modelMappings[].from",
    "routing.modelMappings[].to",
    "routing.passthroughModels",
    "routing.hold",
    *(path for path in CHANGED if path.startswith(("timeouts.", "clients.", "logging."))),
    *(path for path in CHANGED if path.startswith("listen.")),
}
"""Keys that addons read of `Runtime.config` for each request."""
OF_COMMANDS = {
    "oauth.authorizeUrl",
    "oauth.redirectUri",
    "oauth.scopes",
    "accounts.anthropic[].metadata",
}
"""Keys that mean nothing to a proxy."""
KEYS = [entry.path for entry in entries() if not entry.nested and entry.path != "version"]


def changed(path: str) -> dict[str, Any]:
    """`BASE` with another value at `path`: in the first item of a list, or under the only name."""
    document = copy.deepcopy(BASE)
    *steps, last = path.split(".")
    here: Any = document
    for step in steps:
        if step == "*":
            (here,) = here.values()
        elif step.endswith("[]"):
            here = here[step[:-2]][0]
        else:
            here = here.setdefault(step, {})
    here[last] = CHANGED[path]
    return document


LEFT_OUT = {"_table", "_lead", "_changed", "admin_token", "changes", "config_loaded_at"}
"""Attributes that hold no configuration: the list prices, what each start makes anew, whom to wake."""
RANDOM = re.compile(r"(?<![\w-])[\w-]{32}(?![\w-])")
"""Secrets that each start makes anew."""


def snapshot(root: object) -> set[str]:
    """Return a line for every single value that hangs together with `root`, sources left out."""
    visited: list[object] = []
    return {RANDOM.sub("…", line) for line in _lines(root, "", visited)}


def _lines(value: object, at: str, visited: list[object]) -> Iterator[str]:
    match value:
        case Secret():
            yield f"{at} = {value.reveal()}"
        case str() | int() | float() | bytes() | Path() | frozenset() | None:
            yield f"{at} = {value!r}"
        case dict():
            for key, item in value.items():
                yield from _lines(item, f"{at}[{key}]", visited)
        case list() | tuple():
            yield f"{at} has {len(value)}"
            for n, item in enumerate(value):
                yield from _lines(item, f"{at}[{n}]", visited)
        case partial():
            yield from _lines((value.args, value.keywords), at, visited)
        case MethodType():
            yield from _lines(value.__self__, at, visited)
        case FunctionType():
            for n, cell in enumerate(value.__closure__ or ()):
                yield from _lines(cell.cell_contents, f"{at}.{value.__name__}:{n}", visited)
        case _ if type(value).__module__.startswith("neurolink_mitm"):
            yield from _object_lines(value, at, visited)
        case _:
            yield f"{at} is {type(value).__name__}"


def _object_lines(value: object, at: str, visited: list[object]) -> Iterator[str]:
    if isinstance(value, Sources | Thread) or any(value is other for other in visited):
        return
    if not (is_dataclass(value) and value.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        visited.append(value)
    for name in attributes(value):
        if name not in LEFT_OUT:
            yield from _lines(getattr(value, name, None), f"{at}.{name}", visited)


def attributes(value: object) -> list[str]:
    slots = [name for part in type(value).__mro__ for name in getattr(part, "__slots__", ())]
    return [*slots, *getattr(value, "__dict__", {})]


class Proxy:
    """One that is prepared, its addons included; it does not serve."""

    def __init__(self, home: Path) -> None:
        self.file = home / "proxy-config.yaml"
        self.prepared = prepare(Settings({**ENVIRON, "NEUROLINK_HOME": str(home)}))
        self.addons = [data_plane(self.prepared), *stack(self.prepared.runtime)]

    async def reload(self, document: object = BASE) -> None:
        self.file.write_text(yaml.safe_dump(document))
        assert self.prepared.sources is not None
        await Reloader(self.prepared.runtime, self.prepared.sources).reload()
        assert self.prepared.runtime.config_errors == ()

    def snapshot(self) -> set[str]:
        return snapshot((self.prepared.runtime, self.addons, trusted(self.prepared)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    Authority(home, "ca")
    (home / "mine.py").write_text(PLUGIN)
    one_key = ec.generate_private_key(ec.SECP256R1())
    for name in ("tls", "renewed"):
        make_pair(home, name, key=one_key)
    for key in ("cluster.key", "other.key"):
        make_cluster_key(home / key)
    (home / "proxy-config.yaml").write_text(yaml.safe_dump(BASE))
    return home


@pytest.fixture(scope="module")
def proxy(home: Path) -> Proxy:
    return Proxy(home)


@pytest.fixture(scope="module")
def base(proxy: Proxy) -> set[str]:
    return proxy.snapshot()


def test_the_table_has_every_key() -> None:
    assert sorted(CHANGED) == sorted(KEYS)


@pytest.mark.parametrize("path", KEYS)
async def test_a_reload_takes_over_what_a_start_does(
    path: str, home: Path, proxy: Proxy, base: set[str]
) -> None:
    """And takes it back again."""
    await proxy.reload(changed(path))
    reloaded, started = proxy.snapshot(), Proxy(home).snapshot()
    assert reloaded ^ started == set()
    effect = {line for line in started ^ base if "[0].config." not in line}
    assert effect or path in READ_WHEN_NEEDED | OF_COMMANDS
    await proxy.reload()
    assert proxy.snapshot() ^ base == set()


TOKENS = {
    "accessToken": "sk-ant-oat-test-1",
    "refreshToken": "sk-ant-ort-test-1",
    "expiresAt": 9e15,
}
OTHER_FILES = {
    "proxy": (".env", "HTTPS_PROXY=http://proxy.example:3128\n"),
    "variable": (".env", "KEY=sk-ant-test-b\nOPENAI_BASE_URL=http://127.0.0.1:9\n"),
    "collector": (".env", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9\n"),
    "client": ("clients.json", encode_client_keys([ClientKey("c", digest("key"), 1.0)]).decode()),
    "login": (
        "tokens.json",
        json.dumps({"version": "2.0", "providers": {"anthropic:work": {"tokens": TOKENS}}}),
    ),
}


@pytest.mark.parametrize("name", OTHER_FILES)
async def test_so_it_does_with_the_other_files(
    name: str, home: Path, proxy: Proxy, base: set[str]
) -> None:
    file, text = OTHER_FILES[name]
    (home / file).write_text(text)
    await proxy.reload()
    reloaded, started = proxy.snapshot(), Proxy(home).snapshot()
    assert proxy.prepared.sources is not None
    assert proxy.prepared.runtime.proxies == proxy.prepared.sources.network.proxies
    (home / file).unlink()
    assert reloaded ^ started == set()
    assert reloaded != base
    await proxy.reload()
    assert proxy.snapshot() ^ base == set()


async def test_a_model_of_which_nobody_knows_the_price_is_noted(proxy: Proxy) -> None:
    budget = proxy.prepared.runtime.pool.budget
    assert budget.unpriced == frozenset()
    await proxy.reload(changed("routing.fallbackChain[].model"))
    assert budget.unpriced == {"openai/gpt-y"}
    await proxy.reload()
