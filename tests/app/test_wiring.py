from __future__ import annotations

import time
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.app.run import data_plane
from neurolink_mitm.app.wiring import Settings, prepare
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dataplane.upstreams.fakes import turns


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
