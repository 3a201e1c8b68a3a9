"""`neurolink proxy env`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.adapters.own_address import CA_VARIABLE
from neurolink_mitm.claude_code.settings_text import ANY_TOKEN, variables
from neurolink_mitm.cli.proxy import tool_settings
from neurolink_mitm.cli.proxy.tool_settings import TOOLS, Settings, export
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.options import port_option
from neurolink_mitm.cli.ui.running import admin_headers, ask_status, running_state
from neurolink_mitm.cli.ui.terminal import say
from neurolink_mitm.core.auth.client_keys import CLIENT_KEY_PREFIX

if TYPE_CHECKING:
    from neurolink_mitm.adapters.state_file import ProxyState

TOKEN = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - a variable's name


@click.command("env")
@click.option(
    "--for",
    "tool",
    type=click.Choice(TOOLS),
    default="claude-code",
    show_default=True,
    help="Which tool is to use the proxy; openai is all that reads OpenAI's variables. For codex, aider and"
    " continue it prints the tool's file.",
)
@click.option(
    "--shell",
    type=click.Choice(["bash", "zsh", "fish"]),
    default="bash",
    show_default=True,
    help="Whose language to print it in.",
)
@port_option("Of several proxies, the one on this port.")
def command(tool: str, shell: str, port: int | None) -> None:
    """Print what points a tool at the proxy: lines for the shell, or the tool's own file.

    For a Claude Code that has no login of its own with a token, as it asks nothing without one.

    Example: neurolink proxy env --for codex
    """
    state = running_state(port)
    if tool == "claude-code":
        values = {**variables(state.caller_url), **_trust(state), **_token(state.url)}
        click.echo(export(shell, values), nl=False)
        return
    report = ask_status(state) or {}
    say_what_serves(report)
    click.echo(_printed(tool, shell, state, _settings(tool, state, report)), nl=False)


def _trust(state: ProxyState) -> dict[str, str]:
    """Return what lets Claude Code trust the certificate, unless a file of the user's does."""
    set_already = os.environ.get(CA_VARIABLE)
    if state.variables and set_already not in (None, "", state.variables[CA_VARIABLE]):
        say(
            f"neurolink: {set_already} ({CA_VARIABLE}) has to hold {state.variables[CA_VARIABLE]}, too"
        )
        return {}
    return state.variables


def _token(url: str) -> dict[str, str]:
    """Return a token that opens nothing, where Claude Code needs any; print a hint where it must be a client key."""
    from neurolink_mitm.claude_code.login import has_login

    response = http_client.ask(f"{url}/status")
    if response.status == 401 and not os.environ.get(TOKEN):
        text = f"callers must show a key: neurolink clients add NAME, then set {TOKEN} to it"
        say(f"neurolink: {text}")
    passthrough = response.document.get("strategy") == "passthrough"
    if response.status != 200 or passthrough or has_login(os.environ):
        return {}
    return {TOKEN: ANY_TOKEN}


def say_what_serves(report: dict[str, Any]) -> None:
    """Print a hint where nothing in the pool may serve other tools than Claude Code."""
    from neurolink_mitm.core.failover.ineligible import ADD_ACCOUNT, NO_ACCOUNT, ONLY_SUBSCRIPTIONS

    if report.get("strategy") in (None, "passthrough") or report.get("fallbackChain"):
        return
    types = {account["type"] for account in report["stats"]["accounts"]}
    if "api_key" not in types:
        say(f"neurolink: {ONLY_SUBSCRIPTIONS if types else NO_ACCOUNT} {ADD_ACCOUNT}")


def _settings(tool: str, state: ProxyState, report: dict[str, Any]) -> Settings:
    key, note = tool_settings.NO_KEY, ""
    if report.get("strategy") == "passthrough":
        key, note = "<API key>", "an API key of Anthropic's, which the proxy hands on"
    elif http_client.ask(f"{state.url}/status").status == 401:
        key, note = "<client key>", f"what this shows, once: neurolink clients add {tool}"
    by_variable = tool == "openai"
    if note and not (by_variable and _has_client_key()):
        say(f"neurolink: {tool_settings.KEY_VARIABLE if by_variable else key} has to be {note}")
    model, small = models(report)
    return Settings(f"{state.caller_url}/v1", key, note, model, small, _embeddings(state))


def _has_client_key() -> bool:
    """Return whether the variable has one of ours, not that of an account at OpenAI."""
    key = os.environ.get(tool_settings.KEY_VARIABLE, "")
    return key.startswith(CLIENT_KEY_PREFIX) and key != tool_settings.NO_KEY


def models(report: dict[str, Any]) -> tuple[str, str]:
    """Return the model to name, and the one for small things: those of the chain where it alone serves."""
    api_key = any(each["type"] == "api_key" for each in report.get("stats", {}).get("accounts", ()))
    from neurolink_mitm.core.providers.models import newest

    chain = report.get("fallbackChain")
    if chain and not api_key:
        return chain[0]["model"], chain[-1]["model"]
    return newest("sonnet"), newest("haiku")


def _embeddings(state: ProxyState) -> str | None:
    """Return a model for embeddings, where the proxy lists one."""
    listed = http_client.get_json(f"{state.url}/v1/models", None, admin_headers(state)) or {}
    return next((each["id"] for each in listed.get("data", ()) if "embed" in each["id"]), None)


def _printed(tool: str, shell: str, state: ProxyState, settings: Settings) -> str:
    match tool:
        case "codex":
            return tool_settings.codex(settings, shell)
        case "aider":
            return tool_settings.aider(settings, _aider_models(settings))
        case "continue":
            return tool_settings.continue_(settings)
        case "cursor":
            return tool_settings.cursor(settings, state.port)
        case _:
            return export(shell, tool_settings.openai(settings))


def _aider_models(settings: Settings) -> str:
    """Write Aider's model metadata into the home; return the path."""
    from neurolink_mitm.adapters.cost import shipped_prices
    from neurolink_mitm.adapters.files import write_atomic
    from neurolink_mitm.core.pool.accounts import ANTHROPIC
    from neurolink_mitm.core.providers.claude_models import ROWS

    path = home().aider_models
    names = dict.fromkeys((*(name for name, *_ in ROWS), settings.model, settings.small_model))
    prices = {name: shipped_prices().of(ANTHROPIC, name) for name in names}
    write_atomic(path, tool_settings.aider_models(prices).encode())
    return str(path)
