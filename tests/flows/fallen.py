"""The real proxy and the real translator, with look-alikes of other providers behind the accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
from mitmproxy import http

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Fallback, Provider, Routing
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.anthropic_stream import Message, validate
from tests.flows.harness import CLAUDE_CODE, Proxy, account, message
from tests.lookalikes.server import Lookalike
from tests.translator.providers import Kind
from tests.translator.running import KEY, Json, Running
from tests.translator.scripted import ScriptedTranslator

LIMITED = Reply(429, headers={"retry-after": "60"})


class Asked:
    """Keeps what the translator is asked: head and body. The last of the addons, when all is as it goes out."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def attempt(self, flow: http.HTTPFlow) -> None:
        if "x-neurolink-provider" in flow.request.headers:
            self.seen.append(f"{flow.request.path} {flow.request.headers} {flow.request.text}")


@dataclass
class Heard:
    """Keeps the streams that clients are given, whoever they are; those who left early have no whole one."""

    streams: list[bytes] = field(default_factory=list)
    _coming: dict[str, list[bytes]] = field(default_factory=dict)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        answer, exchange = flow.response, exchange_of(flow)
        if exchange and exchange.answer:
            return  # translated to a form of OpenAI's
        if answer and answer.stream and "event-stream" in answer.headers.get("content-type", ""):
            answer.stream = self._kept(flow.id, answer.stream)

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.id in self._coming:
            self.streams.append(b"".join(self._coming.pop(flow.id)))

    def judge(self) -> list[Message]:
        return [validate(stream, allow_error=True) for stream in list(self.streams)]

    def _kept(self, flow_id: str, inner: Callable[[bytes], Any] | bool) -> Callable[[bytes], bytes]:
        chunks = self._coming[flow_id] = []

        def keep(data: bytes) -> bytes:
            given = inner(data) if callable(inner) else data
            chunks.append(given if isinstance(given, bytes) else b"".join(given))
            return chunks[-1]

        return keep


@dataclass
class Fallen:
    """A proxy with accounts `a` and `b`, and providers behind them."""

    proxy: Proxy
    sandbox: SandboxServer
    lookalikes: Mapping[str, Lookalike]
    asked: Asked
    heard: Heard

    def limit(self, *names: str) -> None:
        for name in names or ("a", "b"):
            self.sandbox.script(name, LIMITED)

    def recover(self) -> None:
        for name in "ab":
            self.sandbox.script(name, Reply())
            self.proxy.runtime.pool.reset(f"anthropic:{name}")

    def ask(self, path: str = "/v1/messages", **fields: Any) -> httpx.Response:
        return httpx.post(
            self.proxy.url + path, json=message(**fields), headers=CLAUDE_CODE, timeout=60,
            trust_env=False,
        )  # fmt: skip

    def served_by(self, **fields: Any) -> str:
        answer = self.ask(**fields)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-neurolink-account"]


def chain(*kinds: Kind) -> tuple[Fallback, ...]:
    return tuple(Fallback(kind.name, kind.model) for kind in kinds)


@dataclass
class Setting:
    """Starts proxies, one after the other."""

    sandbox: SandboxServer
    translator: Running | ScriptedTranslator
    stack: ExitStack

    def __call__(
        self,
        *kinds: Kind,
        routing: Routing | None = None,
        accounts: tuple[Account, ...] | None = None,
        **proxy: Any,
    ) -> Fallen:
        lookalikes = {k.name: self._made(k) for k in kinds}
        accesses = {k.name: k.access(lookalikes[k.name].url) for k in kinds}
        self.translator.configure(**accesses)
        providers = {
            name: Provider(a.base_url, Secret(KEY), a.api)
            for name, a in accesses.items()  # type: ignore[arg-type]
        }
        config = Config(
            routing=routing or Routing(fallback_chain=chain(*kinds)), providers=providers
        )
        pool = [account(name, self.sandbox.url) for name in "ab"] if accounts is None else accounts
        asked, heard = Asked(), Heard()
        settings: Json = {"translator": self.translator, "config": config, **proxy}
        running = self.stack.enter_context(
            Proxy(pool, addons=lambda runtime: [*stack(runtime), asked, heard], **settings)
        )
        self.stack.callback(self._nothing_leaked, lookalikes, asked)
        self.stack.callback(heard.judge)
        return Fallen(running, self.sandbox, lookalikes, asked, heard)

    def _made(self, kind: Kind) -> Any:
        """A look-alike that is asked through LiteLLM; or what the script of an engine is asked for."""
        if isinstance(self.translator, ScriptedTranslator):
            return self.translator.made(kind)
        return self.stack.enter_context(kind.made())

    @staticmethod
    def _nothing_leaked(lookalikes: Mapping[str, Lookalike], asked: Asked) -> None:
        for lookalike in lookalikes.values():
            lookalike.assert_no_anthropic_credentials()
        assert "sk-ant" not in "".join(asked.seen)
