"""What the sandbox says to someone who asks it by hand."""

from collections.abc import Iterator

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.errors import type_of
from neurolink_mitm.sandbox.recorder import Received, Requests

KINDS = {"api_key": "API key", "oauth": "subscription"}
SAME_REQUEST_S = (
    5.0  # the same body within this time is taken for the same request, on another account
)

PAGE = """NeuroLink's sandbox: looks like Anthropic, is on this machine only, and costs nothing.

Accounts: {accounts}. Try:

curl {url}/v1/messages -H 'x-api-key: {key}' -H 'anthropic-version: 2023-06-01' \\
  -d '{{"model":"claude-sonnet-4-6","max_tokens":100,"stream":true,\
"messages":[{{"role":"user","content":"Hello"}}]}}'
"""


def page(accounts: tuple[Account, ...], url: str) -> str:
    names = ", ".join(f"{a.name} ({KINDS[a.kind]})" for a in accounts)
    key = next((a.credential for a in accounts if a.kind == "api_key"), "…")
    return PAGE.format(accounts=names or "none", url=url, key=key)


def words(account: Account, model: str, request: Received, requests: Requests) -> str:
    """Which account answers, and which ones failed on the way to it."""
    failed = list(_earlier_attempts(request, requests))[::-1]
    refusals = "; ".join(
        f"{r.account} answered {r.status} ({type_of(r.status or 0)})" for r in failed
    )
    way = f"{refusals}; then {account.name} was asked" if failed else "it was asked first"
    return (
        "Hello from NeuroLink's sandbox, which looks like Anthropic but is on this machine only. "
        f"Account {account.name} ({KINDS[account.kind]}) answers for {model}. "
        f"How it came here: {way}."
    )


def _earlier_attempts(request: Received, requests: Requests) -> Iterator[Received]:
    """Newest first, back to the last good answer."""
    for earlier in reversed(requests):
        if request.time - earlier.time > SAME_REQUEST_S:
            return
        if earlier is request or earlier.account is None or earlier.body != request.body:
            continue
        if earlier.status is None or earlier.status < 400:
            return
        yield earlier
