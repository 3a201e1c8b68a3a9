"""A company's network: an HTTP proxy with a login, which alone finds upstream, and opens TLS by its own authority."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from tests.cli.logins import entry
from tests.cli.processes import MESSAGE, ROOT, Shell
from tests.connect_proxy import Authority, ConnectProxy, connect_proxy, dead_proxy

HOST = "upstream.example"
LOGIN = Account("a", "sk-ant-oat-test-a", "oauth", "sk-ant-ort-test-a", expires_in=60)
CLAUDE_CODE = {"user-agent": "claude-cli/2.1.0 (external, cli)"}
CONFIG = f"""
version: 1
defaultBaseUrl: https://{HOST}
oauth: {{token-urls: ["https://{HOST}/v1/oauth/token"]}}
providers: {{openai: {{baseUrl: "https://{HOST}/v1", apiKey: "${{KEY}}"}}}}
routing: {{model-mappings: [{{from: gpt-x, to: gpt-x, provider: openai}}]}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def upstream(authority: Authority) -> Iterator[SandboxServer]:
    with SandboxServer([LOGIN], tls=Tls(str(authority.certificate(HOST)))) as server:
        yield server


@pytest.fixture
def shell(upstream: SandboxServer, shell: Shell) -> Shell:
    """Ends before upstream does: a proxy may connect spares at any moment, and a server can't end in a handshake."""
    return shell


@pytest.fixture
def between(upstream: SandboxServer) -> Iterator[ConnectProxy]:
    with connect_proxy(urlsplit(upstream.url).port or 0, login="me:p@ss:w") as proxy:
        yield proxy


@pytest.fixture
def company(shell: Shell, authority: Authority, between: ConnectProxy) -> Shell:
    """Its token ends soon: the first request renews it."""
    shell.write("proxy-config.yaml", CONFIG)
    login = entry(LOGIN.credential, refresh=LOGIN.refresh_token, ends=30)
    shell.write("tokens.json", json.dumps({"version": "2.0", "providers": {"anthropic:a": login}}))
    shell.variables.update(
        HTTPS_PROXY=f"me:p@ss:w@{between.address}",
        NODE_EXTRA_CA_CERTS=str(authority.path),
        KEY="sk-test",
    )
    return shell


def ask(url: str, **fields: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60, headers=CLAUDE_CODE) as client:
        return client.post(f"{url}/v1/messages", json={**MESSAGE, **fields})


def findings(shell: Shell) -> dict[str, str]:
    doctor = shell.run("proxy", "doctor", "--format", "json")
    return {each["id"]: each["text"] for each in json.loads(doctor.said)["findings"]}


@pytest.mark.timeout(120)
def test_request_refresh_and_doctor(
    company: Shell, between: ConnectProxy, upstream: SandboxServer
) -> None:
    proxy, url = company.serve()
    answer = ask(url)
    assert answer.status_code == 200, answer.text
    paths = [request.path for request in upstream.requests]
    assert any("oauth/token" in path for path in paths)
    found = findings(company)
    way = f" is reached through http://***@{between.address}, certificate verified"
    assert way in found["upstream"]
    assert set(between.targets) == {f"{HOST}:443"}
    assert "p@ss" not in proxy.complained + json.dumps(found)


@pytest.mark.real("litellm")
def test_the_translator(company: Shell, upstream: SandboxServer) -> None:
    """The sandbox is no OpenAI: that it was asked, behind its proxy and authority, is enough."""
    _, url = company.serve()
    other = ask(url, model="gpt-x", stream=False)
    asked = {request.path for request in upstream.requests}
    assert {"/v1/chat/completions", "/v1/responses"} & asked, other.text


def test_with_the_page(company: Shell) -> None:
    """Flows show the connection, its TLS and upstream's certificate, of reused connections too."""
    proxy, url = company.serve("--inspect")
    page, _, token = proxy.expect(r"Watch it in a browser: (\S+)\n")[1].partition("?")
    assert [ask(url).status_code for _ in range(2)] == [200, 200]
    first, second = (each["server_conn"] for each in httpx.get(f"{page}flows?{token}").json())
    assert first["tls_version"] == second["tls_version"] == "TLSv1.3"
    assert first["cert"]["subject"] == second["cert"]["subject"] == [["CN", HOST]]
    assert first["timestamp_start"] < first["timestamp_tcp_setup"] < first["timestamp_tls_setup"]
    assert second["peername"] == first["peername"]


@pytest.mark.parametrize("by_option", [False, True], ids=["variable", "option"])
def test_as_a_script(company: Shell, authority: Authority, by_option: bool) -> None:
    """The authority is named by a variable, or to mitmproxy."""
    company.variables["PYTHONUNBUFFERED"] = "1"
    options: list[str] = []
    if by_option:
        del company.variables["NODE_EXTRA_CA_CERTS"]
        login = entry(LOGIN.credential, refresh=LOGIN.refresh_token, ends=86_400)
        company.write("tokens.json", json.dumps({"providers": {"anthropic:a": login}}))
        options = ["--set", f"ssl_verify_upstream_trusted_ca={authority.path}"]
    script = str(ROOT / "addons" / "neurolink.py")
    mitmdump = str(Path(sys.executable).parent / "mitmdump")
    program = company.start("-s", script, "-p", "0", *options, program=(mitmdump,))
    url = f"http://127.0.0.1:{program.expect(r'listening at 127.0.0.1:([0-9]+)')[1]}"
    assert ask(url).status_code == 200


def test_refresh_by_hand(company: Shell, between: ConnectProxy) -> None:
    refreshed = company.run("auth", "refresh", "anthropic")
    assert refreshed.said.startswith("a: refreshed"), refreshed
    assert between.targets == [f"{HOST}:443"]


def test_without_the_authority_its_name_is_told(company: Shell) -> None:
    del company.variables["NODE_EXTRA_CA_CERTS"]
    login = entry(LOGIN.credential, refresh=LOGIN.refresh_token, ends=86_400)
    company.write("tokens.json", json.dumps({"providers": {"anthropic:a": login}}))
    proxy, url = company.serve()
    began = time.monotonic()
    answer = ask(url)
    assert time.monotonic() - began < 5
    refreshed = company.run("auth", "refresh", "anthropic")
    status = company.run("proxy", "status")
    for said in (answer.text, refreshed.said, findings(company)["upstream-certificate"]):
        assert "issued by CN=Acme Inspection Root" in said
        assert "NODE_EXTRA_CA_CERTS" in said
    assert "is not trusted" in status.said
    assert proxy.runs


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("HTTPS_PROXY", "socks5://me:hunter2@h:1", "HTTPS_PROXY: socks5:// proxies can't be used"),
        ("ALL_PROXY", "socks5h://h:1", "ALL_PROXY: socks5h:// proxies can't be used"),
        ("https_proxy", "http://h:port", "https_proxy: must be an HTTP proxy"),
    ],
)
def test_what_can_not_be_used_ends_a_start(
    company: Shell, variable: str, value: str, fault: str
) -> None:
    company.variables.pop("HTTPS_PROXY")
    company.variables[variable] = value
    for command in (("proxy", "start", "-p", "0"), ("config", "check")):
        ended = company.run(*command)
        assert ended.process.returncode == 2
        assert fault in ended.complained
        assert "hunter2" not in ended.complained


def test_a_proxy_that_is_dead_and_an_authority_that_is_missing(company: Shell) -> None:
    with dead_proxy() as address:
        company.variables.update(HTTPS_PROXY=address, NODE_EXTRA_CA_CERTS="/no/such.pem")
        proxy, url = company.serve()
        answer = ask(url)
        found = findings(company)
    assert "NODE_EXTRA_CA_CERTS: /no/such.pem is not there: left out" in proxy.complained
    assert f"the HTTP proxy http://{address} (HTTPS_PROXY) can't be reached" in answer.text
    assert (
        f"the HTTP proxy http://{address} (HTTPS_PROXY) can't be reached" in found["upstream-proxy"]
    )


def test_a_bundle_of_the_configuration(company: Shell, authority: Authority) -> None:
    del company.variables["NODE_EXTRA_CA_CERTS"]
    company.write("corp.pem", authority.path.read_text())
    company.write("proxy-config.yaml", f"{CONFIG}network: {{caBundle: corp.pem}}\n")
    _, url = company.serve()
    assert ask(url).status_code == 200
    company.write("proxy-config.yaml", f"{CONFIG}network: {{caBundle: gone.pem}}\n")
    for command in (("config", "check"), ("proxy", "start", "-p", "0")):
        ended = company.run(*command)
        assert ended.process.returncode == 2
        assert "network.caBundle: " in ended.complained
        assert "gone.pem is not there" in ended.complained
