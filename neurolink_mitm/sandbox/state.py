"""The state of one sandbox: accounts, positions in their scripts, tokens, records. Thread-safe."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from neurolink_mitm.sandbox.accounts import Account, Reply, Script, default_accounts
from neurolink_mitm.sandbox.recorder import Recorder
from neurolink_mitm.sandbox.tokens import TokenDesk

TOKEN_ENDPOINT = "oauth/token"  # noqa: S105 - no secret
"""The name of the token endpoint's script."""
KEY_ENDPOINT = "oauth/create_api_key"
"""The name of the script of the endpoint that creates API keys."""


class Sandbox:
    """Accounts with their scripts and tokens, and the records of requests."""

    def __init__(
        self,
        accounts: Sequence[Account] | None = None,
        *,
        keep: int = 200,
        bodies: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises ValueError if two accounts share a name or a credential."""
        self.accounts = tuple(default_accounts() if accounts is None else accounts)
        _check(self.accounts)
        self.recorder = Recorder(keep, bodies)
        self.clock = clock
        self.tokens = TokenDesk(self.accounts, clock)
        self._by_key = {a.credential: a for a in self.accounts if a.kind == "api_key"}
        self._scripts = {a.name: a.script for a in self.accounts} | {
            TOKEN_ENDPOINT: Script(),
            KEY_ENDPOINT: Script(),
        }
        self._position = dict.fromkeys(self._scripts, 0)
        self._lock = threading.Lock()

    def account(self, name: str) -> Account:
        """Return an account by its name. Raises KeyError."""
        return next((a for a in self.accounts if a.name == name), None) or _unknown(name)

    def by_key(self, key: str) -> Account | None:
        return self._by_key.get(key)

    def create_key(self, owner: Account) -> str:
        """Create an API key with an account of its own: `OWNER-key-1`, `OWNER-key-2`, …"""
        with self._lock:
            number = sum(a.name.startswith(f"{owner.name}-key-") for a in self.accounts) + 1
            name = f"{owner.name}-key-{number}"
            account = Account(name, f"sk-ant-api-test-{name}")
            self.accounts = (*self.accounts, account)
            self._by_key[account.credential] = account
            self._scripts[name] = account.script
            self._position[name] = 0
        return account.credential

    def served(self, name: str) -> int:
        """Return how many steps of the account's script were played."""
        with self._lock:
            return self._position[name]

    def script(self, name: str, script: Script) -> None:
        """Set the script of `name` and begin with its first step. Raises KeyError if there is no such account."""
        if name not in self._scripts:
            _unknown(name)
        with self._lock:
            self._scripts[name] = script
            self._position[name] = 0

    def next_reply(self, name: str) -> Reply:
        with self._lock:
            position = self._position[name]
            self._position[name] = position + 1
            return self._scripts[name].step(position)


def _check(accounts: Sequence[Account]) -> None:
    for key in ("name", "credential"):
        values = [getattr(account, key) for account in accounts]
        if len(values) != len(set(values)):
            raise ValueError(f"two accounts have the same {key}")


def _unknown(name: str) -> NoReturn:
    raise KeyError(f"the sandbox has no account {name!r}")
