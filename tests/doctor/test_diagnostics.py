"""What the doctor makes of what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from neurolink_mitm.core.status.diagnostic import Diagnostic
from neurolink_mitm.core.status.probe_results import (
    ConfigProbe,
    FileProbe,
    NoticesProbe,
    PortOwner,
    ProbeResults,
    ProxyProbe,
    ServiceProbe,
    SettingsProbe,
    UpstreamProbe,
)
from neurolink_mitm.doctor.diagnostics import diagnose, failed
from tests.fakes import NOW, make_account

HOME = FileProbe("/home/me/.neurolink", 0o700)
URL = "http://127.0.0.1:55669"
SETTINGS = "/home/me/.claude/settings.json"
STATUS: dict[str, Any] = {"config": {"errors": []}, "stats": {"accounts": []}}
RUNNING = ProxyProbe(55669, pid=7, alive=True, url=URL, status=STATUS)
ENDED = ProxyProbe(55669, pid=7, url=URL)
POINTING = SettingsProbe(SETTINGS, True, None, {"ANTHROPIC_BASE_URL": URL}, True)
WELL = ProbeResults(
    now=NOW,
    python=(3, 13, 0),
    mitmproxy="12.2.3",
    home=HOME,
    files=(FileProbe("/home/me/.neurolink/tokens.json", 0o600),),
    config=ConfigProbe("/home/me/.neurolink/proxy-config.yaml", True),
    accounts=(make_account(),),
    skew=0.4,
    proxy=RUNNING,
    settings=POINTING,
    upstreams=(UpstreamProbe("https://api.anthropic.com", "ok"),),
    disk_free=10**10,
)


def results(**changes: Any) -> ProbeResults:
    """All is well, but for these."""
    known = {name: getattr(WELL, name) for name in ProbeResults.__slots__}
    return ProbeResults(**known | changes)


def troubles(found: ProbeResults) -> list[Diagnostic]:
    return [diagnostic for diagnostic in diagnose(found) if diagnostic.level != "ok"]


def running(**status: Any) -> ProxyProbe:
    return ProxyProbe(55669, pid=7, alive=True, url=URL, status=STATUS | status)


def settings(**env: str) -> SettingsProbe:
    return SettingsProbe(SETTINGS, True, None, env, False)


def shell(**env: str) -> dict[str, Any]:
    return {"environment": env}


def test_all_is_well() -> None:
    diagnostics = diagnose(WELL)
    assert troubles(WELL) == []
    assert not failed(diagnostics)
    assert {"python", "mitmproxy", "home", "files", "disk", "config", "accounts", "clock",
            "claude-settings", "proxy", "upstream"} == {each.id for each in diagnostics}  # fmt: skip


REFUSED = {"provider": "a", "model": "b", "lastError": "does not know this model (name another): b"}


def cluster(**changes: Any) -> dict[str, Any]:
    """The part of `/status` on a cluster of two."""
    redis = {"state": "connected", "lagMs": 0.9, "error": None, "clockSkew": 0.0, "failing": []}
    replicas = [
        {"id": "1", "name": "eu-1", "self": True, "differs": []},
        {"id": "2", "name": "eu-2", "self": False, "differs": changes.pop("differs", [])},
    ]
    return {"cluster": {"namespace": "nl", "redis": redis | changes, "replicas": replicas}}


CASES: list[tuple[str, str, Mapping[str, Any]]] = [
    ("python-unsupported", "fail", {"python": (3, 10, 9)}),
    ("mitmproxy-missing", "fail", {"mitmproxy": None}),
    ("mitmproxy-old", "warn", {"mitmproxy": "11.0.2"}),
    ("mitmproxy-unsupported", "fail", {"mitmproxy": "13.0.0"}),
    ("home-unset", "fail", {"home": None}),
    ("home-unusable", "fail", {"home": FileProbe("/x", 0o644, "is not a directory")}),
    ("home-open", "warn", {"home": FileProbe("/x", 0o755)}),
    ("file-open", "warn", {"files": (FileProbe("/x/tokens.json", 0o644),)}),
    ("file-broken", "fail", {"files": (FileProbe("/x/tokens.json", 0o600, "is no JSON"),)}),
    ("disk-low", "warn", {"disk_free": 150_000_000}),
    ("disk-full", "fail", {"disk_free": 0}),
    ("leftover-corrupt", "warn", {"leftovers": ("tokens.json.corrupt-1760000000",)}),
    ("leftover-temporary", "warn", {"leftovers": (".tokens.json.x1.tmp",)}),
    ("config-fault", "fail", {"config": ConfigProbe("/x", True, ("weight: wrong",))}),
    ("config-warning", "warn", {"config": ConfigProbe("/x", True, (), ("a key in plain",))}),
    ("config-rejected", "warn", {"proxy": running(config={"errors": ["weight: wrong"]})}),
    ("cluster-away", "warn", cluster(state="away", error="NOAUTH Authentication required.")),
    ("cluster-not-shared", "warn", cluster(failing=[{"kind": "rates", "reason": "NOPERM"}])),
    ("cluster-clock", "warn", cluster(clockSkew=-300.0)),
    ("cluster-differs", "warn", cluster(differs=["accounts"])),
    ("accounts-none", "fail", {"accounts": ()}),
    (
        "accounts-sandbox",
        "warn",
        {"accounts": (), "proxy": running(stats={"accounts": [{"label": "alpha"}]})},
    ),
    (
        "tokens-unwritten",
        "fail",
        {"proxy": running(stats={"accounts": [{"label": "a", "unwritten": "disk full"}]})},
    ),
    ("clock-skew", "warn", {"skew": 61.0}),
    ("clock-skew", "warn", {"skew": -61.0}),
    ("service-stopped", "warn", {"service": ServiceProbe("/x.service", True, False)}),
    (
        "guard-dead",
        "warn",
        {"proxy": ProxyProbe(1, 7, True, URL, STATUS, guard_pid=8), "settings": None},
    ),
    (
        "proxy-down",
        "warn",
        {"proxy": ProxyProbe(55669), "settings": SettingsProbe(SETTINGS)},
    ),
    ("proxy-silent", "fail", {"proxy": ProxyProbe(55669, 7, True, URL)}),
    (
        "port-taken",
        "fail",
        {"proxy": ProxyProbe(55669, port_owner=PortOwner(9, "nginx")), "settings": None},
    ),
    ("port-taken", "fail", {"proxy": ProxyProbe(55669, port_owner=PortOwner()), "settings": None}),
    ("claude-settings-broken", "fail", {"settings": SettingsProbe(SETTINGS, True, "is no JSON")}),
    ("claude-settings-unset", "warn", {"settings": SettingsProbe(SETTINGS)}),
    (
        "claude-settings-leftover",
        "fail",
        {"settings": settings(ANTHROPIC_BASE_URL="http://127.0.0.1:1")},
    ),
    (
        "claude-settings-elsewhere",
        "warn",
        {
            "settings": SettingsProbe(
                SETTINGS, True, None, {"ANTHROPIC_BASE_URL": "https://gateway.example.com"}
            )
        },
    ),
    ("env-base-url", "warn", shell(ANTHROPIC_BASE_URL="https://gateway.example.com")),
    ("env-other-cloud", "fail", shell(CLAUDE_CODE_USE_BEDROCK="1")),
    ("env-other-cloud", "fail", shell(CLAUDE_CODE_USE_VERTEX="true")),
    ("env-other-cloud", "fail", shell(CLAUDE_CODE_USE_FOUNDRY="1")),
    ("env-credential", "warn", shell(ANTHROPIC_API_KEY="sk-ant-test-1")),
    ("env-credential", "warn", shell(ANTHROPIC_AUTH_TOKEN="sk-ant-test-1")),
    ("env-http-proxy", "warn", shell(HTTPS_PROXY="http://proxy.example.com:3128")),
    ("env-http-proxy", "warn", shell(http_proxy="http://p:1", NO_PROXY="example.com")),
    ("upstream-name", "fail", {"upstreams": (UpstreamProbe("https://x", "name", "no such"),)}),
    ("upstream-unreachable", "fail", {"upstreams": (UpstreamProbe("https://x", "connect", "no"),)}),
    ("upstream-unreachable", "fail", {"upstreams": (UpstreamProbe("https://x", "tls", "no"),)}),
    ("upstream-certificate", "fail", {"upstreams": (UpstreamProbe("https://x", "certificate", "s"),)}),
    ("translator-busy", "warn", {"proxy": running(translator={"state": "starting"})}),
    ("translator-down", "fail", {"proxy": running(translator={"state": "failed", "lastError": "x"})}),
    (
        "fallback-unusable",
        "warn",
        {
            "proxy": running(
                fallbackChain=[
                    {"provider": "openai", "model": "m", "usable": False, "reason": "no key"}
                ]
            )
        },
    ),
    (
        "fallback-unusable",
        "warn",
        {"fallback": ({"provider": "openai", "model": "m", "usable": False, "reason": "no key"},),
         "proxy": None, "settings": None},
    ),
    ("fallback-refused", "warn", {"proxy": running(fallbackChain=[REFUSED | {"usable": False, "until": "…"}])}),
    ("fallback-refused", "warn", {"proxy": running(fallbackChain=[REFUSED | {"usable": True, "success": 0}])}),
    ("unchecked", "warn", {"unchecked": {"the clock": "not done within 12 s"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("id_", "level", "changes"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_one_thing_is_wrong(id_: str, level: str, changes: Mapping[str, Any]) -> None:
    """It is found, nothing else is, and it comes with something to do."""
    [found] = troubles(results(**changes))
    assert (found.id, found.level) == (id_, level)
    assert found.fix
    assert "\n" not in found.text + found.fix


@pytest.mark.parametrize(
    ("account", "id_", "words"),
    [
        ({"disabled": "needs login: invalid_grant"}, "account-needs-login", "invalid_grant"),
        ({"expires_at": NOW - 1}, "account-needs-login", "has expired and can't be refreshed"),
        ({"disabled": "by its owner"}, "account-disabled", "by its owner"),
        ({"enabled": False}, "account-off", "enabled: false"),
        ({"expires_at": NOW + 7200}, "account-expiring", "ends in 2 h"),
    ],
    ids=["refused", "expired", "disabled", "off", "expiring"],
)
def test_an_account_in_trouble(account: dict[str, Any], id_: str, words: str) -> None:
    """The others still serve."""
    accounts = (make_account("home", **account), make_account("work"))
    [found] = troubles(results(accounts=accounts))
    assert (found.id, found.level) == (id_, "warn")
    assert "home" in found.text
    assert words in found.text


def test_a_token_that_will_be_refreshed_is_no_trouble() -> None:
    account = make_account("home", expires_at=NOW - 1, refreshable=True)
    assert troubles(results(accounts=(account,))) == []


def test_no_account_that_could_serve() -> None:
    found = troubles(results(accounts=(make_account(disabled="by its owner"),)))
    assert [each.id for each in found] == ["account-disabled", "accounts-unusable"]
    assert found[-1].level == "fail"


def test_a_state_file_of_one_that_has_ended() -> None:
    found = {each.id for each in troubles(results(proxy=ENDED, settings=None))}
    assert found == {"leftover-state", "proxy-down"}


def test_an_upstream_behind_a_proxy_is_not_checked_and_said_so() -> None:
    upstream = UpstreamProbe(
        "https://api.anthropic.com", "unchecked", "it goes through http://p:3128"
    )
    [found] = [each for each in diagnose(results(upstreams=(upstream,))) if "upstream" in each.id]
    assert (found.id, found.level) == ("upstream-unchecked", "ok")
    assert "through http://p:3128" in found.text


@pytest.mark.parametrize("token", ["sk-nl-test", "anything"])
def test_a_token_that_nobody_is_billed_on_is_no_trouble(token: str) -> None:
    """A client key of ours, or a word for a Claude Code that is not logged in."""
    assert troubles(results(**shell(ANTHROPIC_AUTH_TOKEN=token))) == []


def test_variables_in_claude_codes_settings_count_as_well() -> None:
    env = {"ANTHROPIC_BASE_URL": URL, "CLAUDE_CODE_USE_BEDROCK": "1"}
    [found] = troubles(results(settings=SettingsProbe(SETTINGS, True, None, env, True)))
    assert found.id == "env-other-cloud"
    assert SETTINGS in found.text


@pytest.mark.parametrize(
    "env",
    [
        {"ANTHROPIC_BASE_URL": URL},
        {"ANTHROPIC_BASE_URL": "http://localhost:55669"},
        {"CLAUDE_CODE_USE_BEDROCK": "0"},
        {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost,127.0.0.1"},
        {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"},
        {"NO_PROXY": "example.com"},
    ],
    ids=["ours", "ours-by-name", "bedrock-off", "loopback-spared", "all-spared", "no-proxy"],
)
def test_an_environment_that_is_all_right(env: dict[str, str]) -> None:
    assert troubles(results(environment=env)) == []


@pytest.mark.parametrize(
    ("proxy", "ids"),
    [
        (running(translator={"state": "ready", "pid": 9}), {"translator"}),
        (running(fallbackChain=[{"provider": "a", "model": "b", "usable": True}]), {"fallback"}),
        (ProxyProbe(1, 7, True, URL, STATUS, guard_pid=8, guard_alive=True), {"guard"}),
    ],
    ids=["translator", "fallback", "guard"],
)
def test_what_runs_beside_it(proxy: ProxyProbe, ids: set[str]) -> None:
    assert ids < {
        each.id for each in diagnose(results(proxy=proxy, settings=None)) if each.level == "ok"
    }


@pytest.mark.parametrize(
    "status",
    [
        {"translator": {"state": "stopped", "lastError": None}, "fallbackChain": []},
        {"fallbackChain": [{"provider": "a", "model": "b", "usable": False, "until": "…"}]},
        {"fallbackChain": [REFUSED | {"usable": True, "success": 3}]},
    ],
    ids=["translator-not-needed", "fallback-cooling", "fallback-answered"],
)
def test_what_is_no_trouble_of_other_providers(status: dict[str, Any]) -> None:
    assert troubles(results(proxy=running(**status))) == []


def test_a_translator_that_has_stopped_though_it_is_needed() -> None:
    chain = [{"provider": "a", "model": "b", "usable": True}]
    proxy = running(translator={"state": "stopped"}, fallbackChain=chain)
    assert [each.id for each in troubles(results(proxy=proxy))] == ["translator-down"]


def test_secrets_and_control_characters_are_not_repeated() -> None:
    url = "http://me:hunter2@example.com/?key=abcdefghij\x1b[2J"
    text = "".join(
        each.text + each.fix for each in diagnose(results(environment={"ANTHROPIC_BASE_URL": url}))
    )
    assert "example.com" in text
    for hidden in ("hunter2", "abcdefghij", "\x1b"):
        assert hidden not in text


@pytest.mark.parametrize(
    ("probe", "report", "expected"),
    [
        (NoticesProbe(()), None, {}),
        (NoticesProbe(("webhook", "command")), None, {"notices": "notices by webhook, command"}),
        (
            NoticesProbe(("desktop",), desktop=False),
            None,
            {"notices-no-desktop": "there is no desktop"},
        ),
        (
            NoticesProbe(("webhook",)),
            {"failed": 2, "lastError": "webhook: host: HTTP 500"},
            {"notices-failed": "2 notices were not delivered, the last by webhook: host: HTTP 500"},
        ),
    ],
    ids=["off", "on", "no desktop", "failed"],
)
def test_the_channels_of_notices(
    probe: NoticesProbe, report: dict[str, Any] | None, expected: dict[str, str]
) -> None:
    diagnostics = diagnose(results(notices=probe, proxy=running(notices=report)))
    found = {each.id: each.text for each in diagnostics if each.id.startswith("notices")}
    assert found.keys() == expected.keys()
    assert all(expected[name] in text for name, text in found.items())


def test_nothing_is_known() -> None:
    """Of a home that could not be looked at, that much is said."""
    bare = ProbeResults(now=NOW, python=(3, 13, 0), mitmproxy="12.2.3", home=None)
    assert [each.id for each in troubles(bare)] == ["home-unset"]


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("WRONGPASS invalid username-password pair", "password in cluster.url"),
        ("ERR DB index is out of range", "number at the end"),
        ("READONLY You can't write against a read only replica.", "the primary"),
        ("OOM command not allowed", "make room"),
        ("certificate verify failed", "network.ca-bundle"),
        ('Protocol error, got "H" as reply type byte', "another program"),
        ("Error 111 connecting to 127.0.0.1:6379.", "redis-cli"),
        ("no answer in time", "redis-cli"),
    ],
)  # fmt: skip
def test_what_to_do_about_a_redis_that_is_away(error: str, fix: str) -> None:
    [finding] = troubles(results(**cluster(state="away", error=error)))
    assert error in finding.text
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        ("NOPERM this user has no permissions", "rights"),
        ("logins in Redis: 'a': sealed with another key: copy cluster.key", "copy cluster.key"),
        ("logins in Redis: 'a': another account than here", "--label OTHER"),
        ("cut off", "who else writes"),
    ],
)
def test_what_to_do_about_what_is_not_shared(reason: str, fix: str) -> None:
    [finding] = troubles(results(**cluster(failing=[{"kind": "logins", "reason": reason}])))
    assert fix in finding.fix


def test_a_refusal_of_all_is_why_redis_is_away() -> None:
    refused = [{"kind": "members", "reason": "NOPERM no rights"}]
    [finding] = troubles(results(**cluster(state="away", failing=refused)))
    assert "NOPERM no rights" in finding.text


def test_a_cluster_that_is_well() -> None:
    [finding] = [each for each in diagnose(results(**cluster())) if each.id == "cluster"]
    assert finding.text == "one of 2 replicas of the cluster nl; Redis answers in 0.9 ms"
