"""`neurolink proxy start`: serves, and prints where the proxy listens and how to use it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import click

from neurolink_mitm import __version__, app
from neurolink_mitm.adapters.console import LogHandler, take_over
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import StateFile
from neurolink_mitm.adapters.system import port_owner
from neurolink_mitm.app import wiring
from neurolink_mitm.app.state_publisher import state_of
from neurolink_mitm.claude_code.attach import ClaudeCode
from neurolink_mitm.claude_code.login import has_login
from neurolink_mitm.claude_code.settings import settings_path
from neurolink_mitm.claude_code.settings_text import ANY_TOKEN
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail, fail_by_configuration
from neurolink_mitm.cli.ui.running import choose
from neurolink_mitm.cli.ui.terminal import counted, program
from neurolink_mitm.core.auth.credentials import account_type
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.providers import destinations
from neurolink_mitm.core.providers.models import CLAUDE
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.status.versions import aging
from neurolink_mitm.dataplane.compat import UnsupportedMitmproxyError
from neurolink_mitm.dataplane.master import NotListeningError
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import default_accounts
from neurolink_mitm.stack import stack

logger = logging.getLogger("neurolink")

OFTEN = (2000, 10, 10)
"""Thresholds of the garbage collector while requests are served: few new objects at once."""
MODEL = "claude-sonnet-4-6"
"""In the example of a request, if anybody is served it."""
EXAMPLE = (
    """'{"model":"%s","max_tokens":256,"stream":true,"""
    """"messages":[{"role":"user","content":"hi"}]}'"""
)


@dataclass(frozen=True, slots=True)
class StartOptions:
    """The options of `proxy start` beside those of `wiring.Settings`."""

    quiet: bool
    debug: bool
    sandbox: bool
    sandbox_if_empty: bool
    no_claude_settings: bool


def start(options: StartOptions, settings: wiring.Settings) -> None:
    """Serve until told to stop, or exit with the code that fits what went wrong."""
    handler = set_up_logging(quiet=options.quiet, debug=options.debug)
    if handler and not settings.inspect:  # mitmweb's page shows the log
        settings = replace(settings, say=handler.say)
    host, port = settings.host, settings.port
    try:
        _refuse_second(Home.from_environment(os.environ), port)
        _start(options, settings)
    except ConfigError as e:
        fail_by_configuration(e.faults)
    except NotListeningError as e:
        owner = port_owner(port) or "another program"
        taken = f"port {port} on {host} is taken by {owner}; try --port 0"
        fail(taken if e.in_use else f"can't listen on {host}:{port}: {e}", FAILED)
    except ValueError as e:
        fail(str(e), USAGE)
    except (OSError, UnsupportedMitmproxyError) as e:
        fail(str(e), FAILED)


def _start(options: StartOptions, settings: wiring.Settings) -> None:
    prepared = wiring.prepare(settings)
    empty = not prepared.runtime.pool.accounts
    if not options.sandbox and not (options.sandbox_if_empty and empty):
        _serve(prepared, settings, options, sandbox="")
        return
    with _sandbox() as (url, accounts):
        settings = replace(settings, accounts=accounts)
        why = "no account yet, so this" if empty and not options.sandbox else "this"
        sandbox = f"{why} is the built-in sandbox at {url}"
        _serve(wiring.prepare(settings), settings, options, sandbox)


def _serve(
    prepared: wiring.Prepared, settings: wiring.Settings, options: StartOptions, sandbox: str
) -> None:
    for warning in prepared.warnings:
        logger.warning("%s", warning)
    claude_code = None if sandbox or options.no_claude_settings else _claude_code(prepared.home)

    def ready(web_url: str) -> None:
        if not options.quiet:
            attached = claude_code.path if claude_code and claude_code.attached else None
            logged = has_login(os.environ)
            missed = aging(version("mitmproxy"))
            info = StartInfo(program(), sandbox, web_url, attached, logged, missed)
            click.echo(greeting(prepared.runtime, info))
            sys.stdout.flush()
        collect_briefly()

    asyncio.run(app.serve(prepared, settings, stack, ready, claude_code))


def collect_briefly() -> None:
    """Collect garbage often and leave out what start-up made: a collection holds up all streams."""
    gc.freeze()
    gc.set_threshold(*OFTEN)


def _claude_code(home: Home) -> ClaudeCode | None:
    path = settings_path(os.environ)
    if path is None:
        logger.warning(
            "neither CLAUDE_CONFIG_DIR nor HOME is set: no settings of Claude Code are changed"
        )
    return ClaudeCode(home, path) if path else None


@contextmanager
def _sandbox() -> Iterator[tuple[str, tuple[Account, ...]]]:
    """Yield the URL of a sandbox on a free port, and its accounts; `alpha`, which is limited soon, goes first."""
    # imported here: it brings a web framework that nobody else needs
    from neurolink_mitm.sandbox.server import SandboxServer

    with SandboxServer(keep=20) as server:
        accounts = tuple(
            Account(
                key=f"anthropic:{account.name}",
                label=account.name,
                type=account_type(Secret(account.credential)),
                secret=Secret(account.credential),
                base_url=server.url,
            )
            for account in default_accounts()
        )
        yield server.url, accounts


def _refuse_second(home: Home, port: int) -> None:
    """Exit where a proxy of this home has the port already."""
    running = StateFile(home.state).running()
    if taken := choose(running, port):
        which = f" --port {port}" if len(running) > 1 else ""
        fail(
            f"already running at {taken.caller_url} (pid {taken.pid}); neurolink proxy stop{which} ends it,"
            " another --port starts one beside it",
            FAILED,
        )


def set_up_logging(*, quiet: bool, debug: bool) -> LogHandler | None:
    """Log our own lines on stderr, and mitmproxy's errors; its other lines with `debug` only. Return the handler.

    All that is written from now on is written by a thread, until the process ends.
    """
    chosen = os.environ.get("NEUROLINK_LOG_LEVEL", "INFO").upper()
    level = logging.getLevelNamesMapping().get(chosen, logging.INFO)
    if debug or quiet:
        level = logging.DEBUG if debug else logging.WARNING
    handler = take_over()
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING,
        handlers=[handler or logging.NullHandler()],
        force=True,
    )
    logging.getLogger("neurolink").setLevel(level)
    changes = logging.getLogger("neurolink.config.changes")  # rare, and a service has only its log
    changes.setLevel(logging.INFO if quiet and not debug else logging.NOTSET)
    if not debug:  # that it can't listen is told by us, in one line
        logging.getLogger("mitmproxy.addons.proxyserver").setLevel(logging.CRITICAL)
    return handler


@dataclass(frozen=True, slots=True)
class StartInfo:
    """How the proxy was started. `sandbox` says where it is one; `attached` is Claude Code's changed settings file."""

    program: str = "neurolink"
    sandbox: str = ""
    web_url: str = ""
    attached: Path | None = None
    claude_logged_in: bool = False
    missed: str | None = None
    """What a newer Python would bring, in words."""


def greeting(runtime: Runtime, info: StartInfo) -> str:
    return "\n".join((*_head(runtime, info), "", *_how_to_use(runtime, info), ""))


def _head(runtime: Runtime, info: StartInfo) -> Iterator[str]:
    count = len(runtime.pool.accounts)
    serves = f"{runtime.pool.strategy}, {counted(count, 'account')}"
    if runtime.passthrough:
        serves = "passthrough, each caller's own credentials"
    yield f"NeuroLink {__version__} listens on {_url(runtime)} ({serves})"
    login = f"{info.program} auth login anthropic"
    if info.sandbox:
        yield f"Note: {info.sandbox}; its answers are made up, so Claude Code's settings are left alone"
        empty = info.sandbox.startswith("no account")
        again = "start this again" if empty else "start without --sandbox"
        yield f"An account of your own: run `{login}`, then {again}"
    elif not count and not runtime.passthrough:
        yield f"No account yet: run `{login}` (a subscription), or with `--method api-key`:"
        yield "it is used from the next request on; or set ANTHROPIC_API_KEY, and start again"
    if info.missed:
        yield f"Note: {info.missed}"
    if runtime.cluster:
        from neurolink_mitm.core.cluster.report import place_of  # only where there is a cluster

        place = place_of(runtime.cluster.report())
        yield f"This is {place}: `{info.program} cluster status` shows all"
    if runtime.dashboard and runtime.dashboard.url:
        yield f"Dashboard: run `{info.program} dashboard`, which opens {runtime.dashboard.url}"
    if info.web_url:
        yield f"Watch it in a browser: {info.web_url}"
    if info.attached:
        yield f"Claude Code comes here until this stops: {info.attached} says so"


def _how_to_use(runtime: Runtime, info: StartInfo) -> Iterator[str]:
    guarded = bool(runtime.client_keys)
    token = "<client key>" if guarded else ANY_TOKEN
    needs_token = guarded or (not info.claude_logged_in and not runtime.passthrough)
    yield "Point other programs at it:" if info.attached else "Point Claude Code at it:"
    yield f"  export ANTHROPIC_BASE_URL={_url(runtime)}"
    yield "  export ENABLE_TOOL_SEARCH=true"
    for name, value in state_of(runtime).variables.items():
        yield f"  export {name}={shlex.quote(value)}"
    if needs_token:
        yield f"  export ANTHROPIC_AUTH_TOKEN={token}"
    if guarded:
        yield f"Callers must show a key, Claude Code too: {info.program} clients add NAME"
    elif needs_token and info.attached:
        yield "(Claude Code needs that last line, too, as it has no login: it asks nothing without.)"
    elif needs_token:
        yield "(The last line is for a Claude Code without a login, which asks nothing without.)"
    yield ""
    yield from _by_hand(runtime, info, guarded)


def _by_hand(runtime: Runtime, info: StartInfo, guarded: bool) -> Iterator[str]:
    model = MODEL if runtime.passthrough else model_for_anybody(runtime)
    if model is None:
        if runtime.pool.accounts:
            yield 'Try it: claude -p "say hi"'
            yield "A subscription serves Claude Code only; for other programs, such as curl, add an API key:"
            yield f"  {info.program} auth login anthropic --add --method api-key"
        return
    key = " -H 'x-api-key: <client key>'" if guarded else ""
    if runtime.passthrough:
        key = " -H 'anthropic-version: 2023-06-01' -H 'x-api-key: <your API key>'"
    yield "Or try it by hand:"
    json = "-H 'content-type: application/json'"
    trust = "".join(
        f" --cacert {shlex.quote(path)}" for path in state_of(runtime).variables.values()
    )
    yield f"  curl -iN{trust} {_url(runtime)}/v1/messages{key} {json} -d {EXAMPLE % model}"


def model_for_anybody(runtime: Runtime) -> str | None:
    """Return a model that is served to any client, not to Claude Code alone, now or after a cooldown."""
    routing = runtime.config.routing
    models = destinations.known_models((model.id for model in CLAUDE), routing)
    return next((model for model in (MODEL, *models) if _served(runtime, model)), None)


def _served(runtime: Runtime, model: str) -> bool:
    route = destinations.route(model, runtime.config.routing, runtime.pool.fallbacks)
    if route is None:
        return False
    pool, now = runtime.pool, runtime.clock.now()
    requirements = Requirements(model=route.model)
    ineligible = {
        **pool.ineligible(requirements, now),
        **pool.ineligible_fallbacks(route.entries, requirements, now),
    }
    keys = [a.key for a in pool.accounts if route.pool]
    keys += [a.key for a in pool.fallbacks if a.key in route.entries]
    paused = {a.key for a in pool.accounts if a.paused and a.enabled and a.type != "oauth"}
    return any(
        key not in ineligible or ineligible[key].until is not None or key in paused for key in keys
    )


def _url(runtime: Runtime) -> str:
    return state_of(runtime).caller_url
