"""Claude Code itself, from npm, through the proxy while the first account is limited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from mitmproxy import http

from neurolink_mitm.adapters import plugins
from neurolink_mitm.claude_code.choices import Choices
from neurolink_mitm.claude_code.settings_text import variables as variables_of
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.shaping.restoring import FORM, Placeholders
from neurolink_mitm.sandbox import Account as SandboxAccount
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from neurolink_mitm.stack import stack
from tests import claude_cli as claude_code
from tests.adapters.tls_server import make_certificate
from tests.flows.harness import CLAUDE_CODE, MODEL, Proxy, account

pytestmark = pytest.mark.real("npm")


@pytest.fixture(scope="session")
def claude() -> Path:
    return claude_code.installed()


class Bodies:
    """Keeps what clients sent, as it came."""

    def __init__(self) -> None:
        self.seen: list[bytes | None] = []

    def request(self, flow: http.HTTPFlow) -> None:
        self.seen.append(flow.request.raw_content)


@pytest.fixture
def bodies() -> Bodies:
    return Bodies()


@pytest.fixture
def proxy(sandbox: SandboxServer, bodies: Bodies) -> Iterator[Proxy]:
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    with Proxy(pool, addons=lambda runtime: [bodies, *stack(runtime)]) as running:
        yield running


@pytest.mark.timeout(400)
def test_answers_through_a_failover(
    claude: Path, proxy: Proxy, sandbox: SandboxServer, bodies: Bodies, tmp_path: Path
) -> None:
    sandbox.script("a", Reply(429, headers={"retry-after": "60"}))
    done = claude_code.say_hi(claude, tmp_path, ANTHROPIC_BASE_URL=proxy.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sandbox" in done.stdout.lower()

    asked = [r for r in sandbox.requests if r.path.startswith("/v1/messages?")]
    assert [r.account for r in asked[:2]] == ["a", "b"]
    first, second = asked[:2]
    assert first.body == second.body
    assert first.body in bodies.seen
    assert json.loads(first.body)["stream"] is True
    assert len(first.body) > 50_000
    assert (first.header("user-agent") or "").startswith("claude-cli/")
    assert "dummy" not in str(first.headers)
    [row, *_] = proxy.rows.wait()
    assert (row.outcome, row.attempts, row.account) == ("complete", 2, "b")
    assert row.sessionId
    assert row.toolCount > 5


NO_WAY_OUT = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "",  # it would switch discovery off
    "DISABLE_TELEMETRY": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}


@pytest.mark.timeout(400)
def test_what_setup_offers_does_what_the_page_says(
    claude: Path, proxy: Proxy, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Models are listed and tools stream, each only with its variable."""
    cache = tmp_path / ".claude" / "cache" / "gateway-models.json"
    for chosen in (Choices(), Choices(model_discovery=True, fine_grained_tool_streaming=True)):
        variables = NO_WAY_OUT | variables_of(proxy.url) | chosen.variables
        assert claude_code.say_hi(claude, tmp_path, **variables).returncode == 0
        asked = [r for r in sandbox.requests if r.path.startswith("/v1/messages?")][-1]
        eager = [tool.get("eager_input_streaming") for tool in json.loads(asked.body)["tools"]]
        assert set(eager) == {True if chosen.fine_grained_tool_streaming else None}
        assert cache.exists() is chosen.model_discovery
    assert {each["id"] for each in json.loads(cache.read_text())["models"]} >= {MODEL}


UUID = "11111111-2222-3333-4444-555555555555"
WORDS = ("bluebird", "bob@mail.example", "db1.corp.example")
TICKET = "CORP-1234"
QUESTION = f"say hi to bluebird, bob@mail.example on db1.corp.example about {TICKET}"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
EVERYTHING = Plugins(
    header_scrubber=shaping.HeaderScrubber(True, ("x-stainless-*",)),
    system_prompt_injector=shaping.SystemPromptInjector(True, ("The rules of bluebird.",)),
    word_obfuscator=shaping.WordObfuscator(
        True, ("bluebird",), (), ("email", "ipv4", "ipv6", "key"), ("corp.example",)
    ),
)


@pytest.mark.timeout(400)
def test_with_all_plugins_on_upstream_sees_no_word_and_the_user_every(
    claude: Path, tmp_path: Path, bodies: Bodies
) -> None:
    key = Placeholders(b"a key of the tests")
    kinds = zip(("WORD", "EMAIL", "HOST"), WORDS, strict=True)
    echo = f"<{' '.join(key.make(kind, word) for kind, word in kinds)}>"
    login = SandboxAccount("o", "sk-ant-oat-test-o", "oauth")
    certificate = make_certificate(tmp_path)
    with SandboxServer([login], tls=Tls(str(certificate))) as upstream:
        upstream.script("o", Reply(chunk_text=echo, events=2))
        with shaping_proxy(upstream, bodies, certificate) as proxy:
            done = claude_code.say(claude, tmp_path, QUESTION, ANTHROPIC_BASE_URL=proxy.url)
        came = next(each for each in bodies.seen if each and len(each) > 50_000)
        first = next(each.body for each in upstream.requests if len(each.body) > 50_000)
        with shaping_proxy(upstream, bodies, certificate) as proxy:  # after a restart
            httpx.post(f"{proxy.url}/v1/messages", content=next_turn(came), headers=CLAUDE_CODE)
        second = upstream.requests[-1].body

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"<{' '.join(WORDS)}>" in done.stdout
    seen = [
        each.body + repr((each.path, each.headers)).encode().lower() for each in upstream.requests
    ]
    hidden = [word.encode() for word in (*WORDS, TICKET.lower())]
    assert [word for word in hidden for each in seen if word in each.lower()] == []
    assert UUID in json.loads(first)["metadata"]["user_id"]
    assert FORM.search(json.loads(first)["system"][-1]["text"])
    assert (part(first, "tools"), part(first, "system")) == (
        part(second, "tools"),
        part(second, "system"),
    )
    assert part(second, "messages").startswith(part(first, "messages")[:-1])


def shaping_proxy(upstream: SandboxServer, bodies: Bodies, certificate: Path) -> Proxy:
    """All five plugins, with the upstream's certificate pinned, and one of the user's own."""
    url = upstream.url.replace("127.0.0.1", "localhost")
    pool = [account("o", url, token="sk-ant-oat-test-o", account_uuid=UUID)]
    shown = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    pins = shaping.TlsFingerprint(True, {"localhost": (shown.hex(),)})
    return Proxy(
        pool,
        Config(cloaking=Cloaking(plugins=replace(EVERYTHING, tls_fingerprint=pins))),
        plugins=tuple(plugins.load(("ticket_numbers.py",), EXAMPLES)),
        trusted=certificate,
        addons=lambda runtime: [bodies, *stack(runtime)],
    )


def part(body: bytes, name: str) -> bytes:
    """A member of the request, as it was sent."""
    found = spans.member(body, spans.root(body), name)
    assert found is not None
    return found.of(body)


def next_turn(body: bytes) -> bytes:
    """The request with an answer, restored, and another question in its history."""
    messages = spans.member(body, spans.root(body), "messages")
    assert messages is not None
    said = [
        {"role": "assistant", "content": f"<{' '.join(WORDS)}>"},
        {"role": "user", "content": "on"},
    ]
    more = ",".join(map(json.dumps, said)).encode()
    return spans.apply(body, [spans.added(messages, spans.parts(body, messages), more)])
