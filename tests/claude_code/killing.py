"""A process that is killed at every step it takes in the file system or on the network, one after another.

    python -m tests.claude_code.killing write|refresh HOME [TOKEN-URL]

Prints a JSON line for each step: what the store held afterwards. It forks, and therefore is a process
of its own; the child that takes no further step ends the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import OAuth
from tests.fakes import NOW, FakeClock, make_account

EVENTS = {"open", "os.rename", "os.remove", "os.chmod", "fcntl.flock", "socket.connect"}
KILLED = -signal.SIGKILL


def login(label: str) -> StoredAccount:
    """As the sandbox of the test knows it."""
    return StoredAccount(
        label, Secret(f"sk-ant-oat-test-{label}"), Secret(f"sk-ant-ort-test-{label}"), NOW
    )


def kill_at(step: int, home: Path) -> None:
    """Count the steps of this process from now on, and die at that one, before it is taken."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS and (event != "open" or str(home) in str(arguments[0])):
            count()

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            count()
            result = function(*arguments)
            count()
            return result

        return call

    sys.addaudithook(hook)
    for name in ("fsync", "fchmod", "replace"):
        setattr(os, name, counted(getattr(os, name)))


def write(store: TokenStore, label: str, url: str) -> None:
    new = Tokens(Secret(f"sk-ant-oat-test-{label}-2"), Secret(f"sk-ant-ort-test-{label}-2"), NOW)
    store.replace_tokens(label, new)


def refresh(store: TokenStore, label: str, url: str) -> None:
    refresher = Refresher(store, lambda: oauth_client(OAuth(token_urls=(url,))), FakeClock())
    account = make_account(label, f"sk-ant-oat-test-{label}", expires_at=NOW, refreshable=True)
    result = asyncio.run(refresher.fresh(account))
    assert result.trouble is None, result


def main(what: str, root: str, url: str = "") -> None:
    home, act = Home(Path(root)), {"write": write, "refresh": refresh}[what]
    store = TokenStore(home)
    for step in range(1, 200):
        label = f"a{step}"
        store.save(login(label))
        child = os.fork()
        if child == 0:
            kill_at(step, home.root)
            act(store, label, url)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = {each.label: each for each in store.read().stored}
        secrets = [
            found[label].access_token.reveal(),
            (found[label].refresh_token or Secret("")).reveal(),
        ]
        print(json.dumps({"code": code, "label": label, "known": len(found), "tokens": secrets}))
        if code != KILLED:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
