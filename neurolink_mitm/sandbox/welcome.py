"""The sandbox's texts for people: how to use it, and which account answered why."""

from collections.abc import Iterator, Sequence

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.errors import type_of
from neurolink_mitm.sandbox.recorder import Received, Requests

KINDS = {"api_key": "API key", "oauth": "subscription"}
SAME_REQUEST_S = 5.0
"""Seconds within which the same body counts as the same request, on another account."""

MESSAGE = (
    '{"model":"claude-sonnet-4-6","max_tokens":100,"stream":true,'
    '"messages":[{"role":"user","content":"Hello"}]}'
)
HOW_TO_USE = """\
NeuroLink's sandbox: looks like Anthropic, is on this machine only, and costs nothing. Ctrl-C ends it.

{accounts}

By hand:
  curl -N {url}/v1/messages -H 'x-api-key: {key}' -H 'anthropic-version: 2023-06-01' -d '{message}'

Claude Code, straight at it:
  export ANTHROPIC_BASE_URL={url}
  export ANTHROPIC_AUTH_TOKEN={key}
  claude -p "say hi"

NeuroLink at it, in a home of its own, with the accounts from above:
  export NEUROLINK_HOME=$(mktemp -d)
  printf '%s\\n' {config} > "$NEUROLINK_HOME/proxy-config.yaml"
{logins}
  {program} auth login anthropic --add --no-browser
  {program} proxy start --port 0 --no-claude-settings
The login prints an address: open it anywhere, as with curl, and paste the code that it shows.
"""

PAGE = """NeuroLink's sandbox: looks like Anthropic, is on this machine only, and costs nothing.

Accounts: {accounts}. Try:

curl {url}/v1/messages -H 'x-api-key: {key}' -H 'anthropic-version: 2023-06-01' \\
  -d '{{"model":"claude-sonnet-4-6","max_tokens":100,"stream":true,\
"messages":[{{"role":"user","content":"Hello"}}]}}'
"""


def page(accounts: tuple[Account, ...], url: str) -> str:
    """Return the text of `GET /`."""
    names = ", ".join(f"{a.name} ({KINDS[a.kind]})" for a in accounts)
    key = next((a.credential for a in accounts if a.kind == "api_key"), "…")
    return PAGE.format(accounts=names or "none", url=url, key=key)


def how_to_use(accounts: Sequence[Account], url: str, program: str) -> str:
    """Return lines to paste into a shell; `program` is the command that calls `neurolink`."""
    keys = [a for a in accounts if a.kind == "api_key"]
    config = (
        "version: 1",
        f"defaultBaseUrl: {url}",
        f"oauth: {{authorize-url: {url}/oauth/authorize, token-urls: [{url}/v1/oauth/token]}}",
    )
    return HOW_TO_USE.format(
        accounts="\n".join(_account(account) for account in accounts),
        url=url,
        key=keys[-1].credential if keys else "…",
        message=MESSAGE,
        config=" ".join(f"'{line}'" for line in config),
        logins="\n".join(
            f"  ANTHROPIC_API_KEY={a.credential} {program} auth login anthropic --add"
            f" --label {a.name} --method api-key --non-interactive"
            for a in keys
        ),
        program=program,
    )


def _account(account: Account) -> str:
    limited = any(reply.status == 429 for reply in account.script.steps)
    notes = "; limited (429) after a few requests" if limited else ""
    seconds = account.expires_in
    notes += f"; its token ends after {seconds:.0f} s, and is refreshed" if seconds else ""
    return f"  {account.name:<6} {account.credential:<22} {KINDS[account.kind]}{notes}"


def words(account: Account, model: str, request: Received, requests: Requests) -> str:
    """Return the text of a response: which account answers, and which ones failed before."""
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
    """Return the failed attempts of the same request, newest first, back to the last good response."""
    for earlier in reversed(requests):
        if request.time - earlier.time > SAME_REQUEST_S:
            return
        if earlier is request or earlier.account is None or earlier.body != request.body:
            continue
        if earlier.status is None or earlier.status < 400:
            return
        yield earlier
