"""Diagnostics of the request path: from Claude Code through the proxy to upstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.providers.unusable import Refusal
from neurolink_mitm.core.status.diagnostic import Diagnostic, fail, ok, warn
from neurolink_mitm.core.status.listening import IN_CLEAR
from neurolink_mitm.core.status.probe_results import (
    ProbeResults,
    ProxyProbe,
    SettingsProbe,
    UpstreamProbe,
)

BASE_URL = "ANTHROPIC_BASE_URL"
CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
OF_ANTHROPIC = "sk-ant-"
"""Prefix of Anthropic's credentials; any other value, as a client key of ours, is billed on nobody."""
OTHER_CLOUDS = (
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_MANTLE",
)
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
NO_PROXY = ("NO_PROXY", "no_proxy")
WATCHED = (BASE_URL, *CREDENTIALS, *OTHER_CLOUDS, *PROXIES, *NO_PROXY)
"""Environment variables that decide whether Claude Code's requests come to the proxy."""
NOT_SET = ("", "0", "false", "no")
START = "neurolink proxy start"


def diagnose_request_path(results: ProbeResults) -> Iterator[Diagnostic]:
    """Return the diagnostics of the request path, from the client's end on."""
    settings = results.settings
    yield from _settings(settings, results.proxy)
    yield from _environment(results.environment, "this shell", results)
    if settings:
        yield from _environment(settings.env, settings.path, results)
    yield from _proxy(results.proxy)
    for upstream in results.upstreams:
        yield _upstream(upstream)
    status = results.proxy.status if results.proxy else None
    chain = (status.get("fallbackChain") or ()) if status else results.fallback
    if status:
        yield from _translator(status.get("translator"), wanted=bool(chain))
    yield from _fallback(chain)


def points_at(url: str, proxy: ProxyProbe | None) -> bool:
    """Return whether `url` is a running proxy of this home, by any name of loopback."""
    if proxy is None or not proxy.alive:
        return False
    return any(_same(url, own) for own in (proxy.url, *(each.url for each in proxy.others)))


def _same(url: str, own_url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        own = urlsplit(own_url)
        return port == own.port and (host == own.hostname or is_loopback(host))
    except ValueError:
        return False


def _settings(settings: SettingsProbe | None, proxy: ProxyProbe | None) -> Iterator[Diagnostic]:
    if settings is None:
        return
    if settings.fault:
        yield fail(
            "claude-settings-broken",
            f"Claude Code's settings can't be read: {settings.path}: {settings.fault}",
            "repair the file: Claude Code can't use it either",
        )
        return
    url = settings.env.get(BASE_URL)
    if proxy and proxy.detached and not points_at(url or "", proxy):
        yield warn(
            "claude-settings-detached",
            f"Claude Code is detached from the proxy, because {proxy.detached}",
            "nothing: it is attached again as soon as that answers",
        )
    elif not url and proxy and proxy.alive:
        yield warn(
            "claude-settings-unset",
            f"{settings.path} does not point Claude Code at the proxy",
            f"{START}, or export {BASE_URL}={proxy.url} for one shell",
        )
    elif not url:
        yield ok("claude-settings", f"{settings.path} points Claude Code at no proxy")
    elif points_at(url, proxy):
        yield ok("claude-settings", f"{settings.path} points Claude Code at the proxy")
    elif settings.answered is False:
        yield fail(
            "claude-settings-leftover",
            f"{settings.path} points Claude Code at {url}, where nothing listens",
            f"{START}, or take {BASE_URL} out of the file",
        )
    else:
        yield warn(
            "claude-settings-elsewhere",
            f"{settings.path} points Claude Code at {url}, which is not this proxy",
            f"take {BASE_URL} out of the file, then {START}",
        )


def _environment(env: Mapping[str, str], where: str, results: ProbeResults) -> Iterator[Diagnostic]:
    """Variables that lead Claude Code past the proxy."""
    url = env.get(BASE_URL)
    shell = env is results.environment
    if shell and url and not points_at(url, results.proxy):
        yield warn(
            "env-base-url",
            f"{BASE_URL} in {where} is {url}, which is not the running proxy",
            f"unset {BASE_URL}",
        )
    for name in OTHER_CLOUDS:
        if env.get(name, "").lower() not in NOT_SET:
            yield fail(
                "env-other-cloud",
                f"{name} is set in {where}: Claude Code goes to another cloud, past the proxy",
                f"unset {name}",
            )
    for name in CREDENTIALS:
        if env.get(name, "").startswith(OF_ANTHROPIC):
            yield warn(
                "env-credential",
                f"{name} is set in {where}: without the proxy, Claude Code is billed on it",
                f"unset {name}, or keep it in the proxy's .env only",
            )
    proxies = [name for name in PROXIES if env.get(name)]
    if proxies and not _spares_loopback(env):
        yield warn(
            "env-http-proxy",
            f"{proxies[0]} is set in {where}, and NO_PROXY spares no loopback:"
            " Claude Code asks that proxy for this one",
            "export NO_PROXY=127.0.0.1,localhost",
        )


def _spares_loopback(env: Mapping[str, str]) -> bool:
    listed = ",".join(env.get(name, "") for name in NO_PROXY)
    hosts = {host.strip().lower() for host in listed.replace(" ", ",").split(",")}
    return bool(hosts & {"*", "127.0.0.1", "127.0.0.0/8"})


def _proxy(proxy: ProxyProbe | None) -> Iterator[Diagnostic]:
    if proxy is None:
        return
    for other in proxy.others:
        yield ok(
            "proxy-other",
            f"another proxy of this home runs on {other.url} ({other.program}, pid {other.pid})",
        )
    if proxy.alive and proxy.status is not None:
        yield ok("proxy", f"runs on {proxy.url} (pid {proxy.pid})")
        yield from _listen(proxy.status.get("listen") or {})
        for line in proxy.status.get("config", {}).get("errors", ()):
            yield warn(
                "config-rejected",
                f"the running proxy keeps its old configuration: {line}",
                "repair the file; it is read again as soon as it changes",
            )
    elif proxy.alive:
        yield fail(
            "proxy-silent",
            f"process {proxy.pid} runs, but {proxy.url} does not answer",
            f"neurolink proxy stop, then {START}",
        )
    elif proxy.port_owner is None:
        yield warn("proxy-down", f"the proxy does not run; port {proxy.port} is free", START)
    else:
        holder = proxy.port_owner
        who = f"{holder.name} (pid {holder.pid})" if holder.pid else "a program of another user"
        yield fail(
            "port-taken",
            f"the proxy does not run, and port {proxy.port} is taken by {who}",
            f"stop that program, or {START} --port 0",
        )


def _listen(listen: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Return how callers come to the running proxy; the certificate's warnings are the configuration's."""
    warnings = listen.get("warnings", ())
    if IN_CLEAR in warnings:
        yield warn("listen-clear", IN_CLEAR, "docs/team.md: TLS for callers")
    if (certificate := listen.get("certificate")) and not warnings:
        until = str(certificate["until"])[:10]
        yield ok("listen-cert", f"callers speak TLS: {certificate['path']} is valid until {until}")


def _upstream(upstream: UpstreamProbe) -> Diagnostic:
    url, detail = upstream.url, upstream.detail
    match upstream.reached:
        case "ok":
            return ok("upstream", f"{url} is reached{detail}")
        case "unchecked":
            return ok("upstream-unchecked", f"{url} was not checked: {detail}")
        case "name":
            return fail("upstream-name", f"{url}: {detail}", "look at the network, DNS or VPN")
        case "proxy":
            return fail(
                "upstream-proxy",
                f"{url}: {detail}",
                "mend that variable or proxyUrl; NO_PROXY lists hosts that are reached without a proxy",
            )
        case "certificate":
            return fail(
                "upstream-certificate",
                f"{url}: {detail}",
                "something on the way breaks TLS open, or the address is wrong; it is never skipped",
            )
    return fail(
        "upstream-unreachable",
        f"{url}: {detail}",
        "look at the network or firewall; behind an HTTP proxy set HTTPS_PROXY or proxyUrl",
    )


def _translator(translator: Mapping[str, object] | None, *, wanted: bool) -> Iterator[Diagnostic]:
    """The translator runs only if the configuration names another provider."""
    if translator is None:
        return
    state = str(translator.get("state"))
    if state == "stopped" and not wanted and not translator.get("lastError"):
        return
    if state == "ready":
        yield ok("translator", f"the translator for other providers is ready{_pid(translator)}")
    elif state in ("starting", "restarting"):
        yield warn("translator-busy", f"the translator is {state}{_why(translator)}", "try again")
    else:
        yield fail(
            "translator-down",
            f"the translator for other providers is {state}{_why(translator)}",
            "look at the proxy's log; other providers can't be used until it runs",
        )


def _pid(translator: Mapping[str, object]) -> str:
    return f" (pid {translator['pid']})" if translator.get("pid") else ""


def _why(translator: Mapping[str, object]) -> str:
    return f": {translator['lastError']}" if translator.get("lastError") else ""


def _fallback(chain: Sequence[Mapping[str, object]]) -> Iterator[Diagnostic]:
    """Yield the entries that can't be used; one that is merely limited comes back by itself."""
    unusable = [each for each in chain if not each.get("usable", True) and not each.get("until")]
    refused = [each for each in chain if each not in unusable and _is_refused(each)]
    for entry in unusable:
        yield warn(
            "fallback-unusable",
            f"fallback {entry.get('provider')}/{entry.get('model')}: {entry.get('reason')}",
            "do what the line says: a key goes into .env, all else into the configuration",
        )
    for entry in refused:
        yield warn(
            "fallback-refused",
            f"fallback {entry.get('provider')}/{entry.get('model')}: {entry.get('lastError')}",
            "it is asked again after five minutes, or at once when its key or its configuration changes",
        )
    if chain and not unusable and not refused:
        yield ok("fallback", f"{len(chain)} entries of the fallback chain can be used")


def _is_refused(entry: Mapping[str, object]) -> bool:
    """Return whether its provider refuses the entry itself, as far as is known: it is cooling, or never answered."""
    last = str(entry.get("lastError") or "")
    if entry.get("usable", True) and entry.get("success"):
        return False
    return any(last.startswith(refusal.value) for refusal in Refusal)
