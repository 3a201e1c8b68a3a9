"""An Anthropic look-alike on loopback: to try NeuroLink without an account, and to test it.

From the outside in:

- `server`    runs it in a thread (`SandboxServer`, for tests) or in the foreground (`serve`); `wire` is its uvicorn
- `recorder`  reads and records each request and its response
- `app`       the routes of the Messages API: authenticate (`auth`), check, play the account's next reply
- `oauth`     the login page, the token endpoint, the creation of API keys
- `control`   the API for tests of a sandbox in another process
- `respond`   the headers of a response; `playback` plays it, with its pauses, cuts and stalls
- `state`     the accounts, positions in their scripts, and their tokens (`tokens`)

Pure, without network or clock:

- `accounts`  accounts, scripts and replies
- `messages`  a request, parsed and checked; `history` checks its conversation
- `answers`   the message that answers it; `schema` makes the input of a tool call
- `events`    that message as SSE events or JSON; `errors` is Anthropic's error form
- `content`   the body that a reply of the script wants
- `welcome`   texts for people

    from neurolink_mitm.sandbox import Account, Reply
    from neurolink_mitm.sandbox.server import SandboxServer

    with SandboxServer([Account("a", "sk-ant-test-a")]) as sandbox:
        sandbox.script("a", Reply(429, headers={"retry-after": "2"}), Reply(cut_after=5))
        ...  # send a request to sandbox.url
        assert [r.status for r in sandbox.requests] == [429, 200]

The names exported here are cheap to import; `server` imports uvicorn.
"""

from neurolink_mitm.sandbox.accounts import Account, Reply, Script, default_accounts

__all__ = ["Account", "Reply", "Script", "default_accounts"]
