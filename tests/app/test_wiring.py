from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.app.run import data_plane
from neurolink_mitm.app.wiring import Settings, prepare
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dataplane.upstreams.fakes import turns

CHAIN = "routing: {fallback-chain: [{provider: openai, model: gpt-5}], %s}\n"
NEEDED: dict[str, tuple[str, dict[str, str], bool, str]] = {
    "a chain with a key": (CHAIN % "", {"OPENAI_API_KEY": "k"}, False, "starting"),
    "no key": (CHAIN % "", {}, False, "stopped"),
    "no chain": ("", {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}, False, "stopped"),
    "passthrough": (CHAIN % "", {"OPENAI_API_KEY": "k"}, True, "stopped"),
    "never paid for": (CHAIN % "pay-per-use: never", {"OPENAI_API_KEY": "k"}, False, "stopped"),
    "free": (
        "routing: {fallback-chain: [{provider: ollama, model: qwen3}], pay-per-use: never}\n", {}, False, "starting"),
    "a mapping": (
        "routing: {model-mappings: [{from: a, to: gpt-5, provider: openai}]}\n",
        {"OPENAI_API_KEY": "k"}, False, "starting"),
    "a mapping to another Claude": (
        "routing: {model-mappings: [{from: a, to: claude-opus-4-6}]}\n", {"OPENAI_API_KEY": "k"}, False, "stopped"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "keys", "passthrough", "state"), NEEDED.values(), ids=list(NEEDED)
)
async def test_the_translator_is_started_where_something_can_use_it(
    tmp_path: Path, config: str, keys: dict[str, str], passthrough: bool, state: str
) -> None:
    home = Home(tmp_path)
    home.create()
    home.config.write_text(config)
    settings = Settings({"NEUROLINK_HOME": str(tmp_path), **keys}, passthrough=passthrough)
    translator = prepare(settings).runtime.translator
    assert isinstance(translator, TranslatorProcess)
    await translator.start()
    try:
        assert translator.report()["state"] == state
    finally:
        await translator.stop()


async def test_refreshes_and_messages_share_connections(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    with SandboxServer(
        [Account("plan", "sk-ant-oat-test", "oauth", "sk-ant-ort-test")]
    ) as upstream:
        home.config.write_text(f"oauth: {{token-urls: ['{upstream.url}/v1/oauth/token']}}\n")
        login = Secret("sk-ant-oat-test"), Secret("sk-ant-ort-test")
        TokenStore(home).save(StoredAccount("plan", *login, time.time() - 60))
        prepared = prepare(Settings({"NEUROLINK_HOME": str(tmp_path)}))
        runtime = prepared.runtime
        assert data_plane(prepared).upstreams is prepared.upstreams is runtime.upstreams
        assert runtime.refresher
        refreshed = await runtime.refresher.fresh(runtime.pool.accounts[0])
        assert refreshed.trouble is None
        assert len(prepared.upstreams) == 1
        prepared.upstreams.close()
        await turns()


def test_temporary_files_of_a_killed_proxy_are_deleted(tmp_path: Path) -> None:
    Home(tmp_path).create()
    names = (".account-quotas.json.6sdljm0x.tmp", ".spend.json.abcdefgh.tmp")
    old, young = (tmp_path / name for name in names)
    for each in (old, young):
        each.touch()
    os.utime(old, (0, 0))
    prepare(Settings({"NEUROLINK_HOME": str(tmp_path)}))
    assert (old.exists(), young.exists()) == (False, True)
