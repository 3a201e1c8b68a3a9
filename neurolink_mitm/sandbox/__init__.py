"""
An Anthropic look-alike on loopback: to try NeuroLink without an account, and to test it.

From the outside in:

- `server`    in a thread (`SandboxServer`, for tests) or in the foreground (`serve`, which
              `python -m neurolink_mitm.sandbox` runs); `wire` is what it needs of uvicorn
- `intake`    reads each request and records it with its answer (`recorder`)
- `app`       the routes: who asks (`auth`), is it valid, which reply comes next for this account
- `oauth`     the login page and the token endpoint
- `control`   what tests ask of a sandbox in another process
- `respond`   an answer's headers; `playback` then plays it, with its pauses, cuts and stalls
- `state`     the accounts, how far each script has got, and their tokens (`tokens`)

and pure, without network or clock: `accounts` (what a script can say), `messages` (a request,
parsed and checked), `history` (what is said so far, checked), `answers` (what it is answered
with), `events` (that as SSE events or JSON), `content` (what the script makes of it), `limits`
(rate-limit headers), `schema` (a tool's input), `models`, `welcome` (words for people),
`errors` (Anthropic's error form).

    from neurolink_mitm.sandbox import Account, Reply
    from neurolink_mitm.sandbox.server import SandboxServer

    with SandboxServer([Account("a", "sk-ant-test-a")]) as sandbox:
        sandbox.script("a", Reply(429, headers={"retry-after": "2"}), Reply(cut_after=5))
        ...  # ask sandbox.url
        assert [r.status for r in sandbox.requests] == [429, 200]

What is exported here is cheap to import; `server` brings uvicorn along.
"""

from neurolink_mitm.sandbox.accounts import Account, Reply, Script, default_accounts

__all__ = ["Account", "Reply", "Script", "default_accounts"]
