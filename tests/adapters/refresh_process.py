"""A process that refreshes one account in many tasks at once, when it is told to.

    python -m tests.adapters.refresh_process HOME TOKEN-URL LABEL TASKS

Says "ready", waits for a line, and prints the access tokens that the tasks got, as a JSON list.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.settings.values import OAuth
from tests.fakes import NOW, FakeClock, make_account


async def refresh(root: str, url: str, label: str, tasks: str) -> list[str]:
    settings = OAuth(token_urls=(url,))
    refresher = Refresher(TokenStore(Home(Path(root))), lambda: oauth_client(settings), FakeClock())
    account = make_account(label, f"sk-ant-oat-test-{label}", expires_at=NOW, refreshable=True)
    print("ready", flush=True)
    sys.stdin.readline()
    results = await asyncio.gather(*(refresher.fresh(account) for _ in range(int(tasks))))
    return [result.account_secret.reveal() for result in results]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(refresh(*sys.argv[1:]))))
