"""What a start prints: where it listens, and how to use it: only what works with the accounts there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neurolink_mitm import __version__
from neurolink_mitm.claude_code.settings_text import ANY_TOKEN
from neurolink_mitm.core.pool.pool import Demand
from neurolink_mitm.core.providers import destinations
from neurolink_mitm.core.providers.models import CLAUDE
from neurolink_mitm.ports import Runtime

MODEL = "claude-sonnet-4-6"
EXAMPLE = (
    """'{"model":"%s","max_tokens":256,"stream":true,"""
    """"messages":[{"role":"user","content":"hi"}]}'"""
)


@dataclass(frozen=True, slots=True)
class Started:
    """How the proxy was started. `attached` is Claude Code's settings file, where it was changed."""

    program: str = "neurolink"
    sandbox: str = ""
    web_url: str = ""
    attached: Path | None = None
    claude_logged_in: bool = False
    missed: str | None = None
    """What a newer Python would bring."""


def greeting(runtime: Runtime, started: Started) -> str:
    return "\n".join((*_head(runtime, started), "", *_how_to_use(runtime, started), ""))


def _head(runtime: Runtime, started: Started) -> Iterator[str]:
    count = len(runtime.pool.accounts)
    serves = f"{runtime.pool.strategy}, {count} account{'s' * (count != 1)}"
    if runtime.passthrough:
        serves = "passthrough, each caller's own credentials"
    yield f"NeuroLink {__version__} listens on {_url(runtime)} ({serves})"
    login = f"{started.program} auth login anthropic"
    if started.sandbox:
        yield f"Note: {started.sandbox}; its answers are made up, so Claude Code's settings are left alone"
        again = (
            "start this again"
            if started.sandbox.startswith("no account")
            else "start without --sandbox"
        )
        yield f"An account of your own: run `{login}`, then {again}"
    elif not count and not runtime.passthrough:
        yield f"No account yet: run `{login}` (a subscription), or with `--method api-key`:"
        yield "it is used from the next request on; or set ANTHROPIC_API_KEY, and start again"
    if started.missed:
        yield f"Note: {started.missed}"
    if started.web_url:
        yield f"Watch it in a browser: {started.web_url}"
    if started.attached:
        yield f"Claude Code comes here until this stops: {started.attached} says so"


def _how_to_use(runtime: Runtime, started: Started) -> Iterator[str]:
    guarded = bool(runtime.client_keys)
    token = "<client key>" if guarded else ANY_TOKEN
    needs_token = guarded or (not started.claude_logged_in and not runtime.passthrough)
    yield "Point other programs at it:" if started.attached else "Point Claude Code at it:"
    yield f"  export ANTHROPIC_BASE_URL={_url(runtime)}"
    yield "  export ENABLE_TOOL_SEARCH=true"
    if needs_token:
        yield f"  export ANTHROPIC_AUTH_TOKEN={token}"
    if guarded:
        yield f"Callers must show a key, Claude Code too: {started.program} clients add NAME"
    elif needs_token and started.attached:
        yield "(Claude Code needs that last line, too, as it has no login: it asks nothing without.)"
    elif needs_token:
        yield "(The last line is for a Claude Code without a login, which asks nothing without.)"
    yield ""
    yield from _by_hand(runtime, started, guarded)


def _by_hand(runtime: Runtime, started: Started, guarded: bool) -> Iterator[str]:
    model = MODEL if runtime.passthrough else model_for_anybody(runtime)
    if model is None:
        if runtime.pool.accounts:
            yield 'Try it: claude -p "say hi"'
            yield (
                "A subscription serves Claude Code only; for other programs, such as curl, add an API key:"
            )
            yield f"  {started.program} auth login anthropic --add --method api-key"
        return
    key = " -H 'x-api-key: <client key>'" if guarded else ""
    if runtime.passthrough:
        key = " -H 'anthropic-version: 2023-06-01' -H 'x-api-key: <your API key>'"
    yield "Or try it by hand:"
    json = "-H 'content-type: application/json'"
    yield f"  curl -iN {_url(runtime)}/v1/messages{key} {json} -d {EXAMPLE % model}"


def model_for_anybody(runtime: Runtime) -> str | None:
    """Return a model that is served to a client that is not Claude Code, now or after a cooldown; None: no one is."""
    routing = runtime.config.routing
    known = destinations.known_models((model.id for model in CLAUDE), routing)
    return next((model for model in (MODEL, *known) if _served(runtime, model)), None)


def _served(runtime: Runtime, model: str) -> bool:
    route = destinations.route(model, runtime.config.routing)
    if route is None:
        return False
    pool, now = runtime.pool, runtime.clock.now()
    demand = Demand(model=route.model)
    skips = {**pool.skips(demand, now), **pool.other_skips(route.entries, demand, now)}
    asked = [a.key for a in pool.accounts if route.pool]
    asked += [a.key for a in pool.others if a.key in route.entries]
    return any(key not in skips or skips[key].until is not None for key in asked)


def _url(runtime: Runtime) -> str:
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(runtime.host, runtime.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{runtime.port}"
