"""The probes of the contract: each asks the gateway, and compares what came with what Claude Code needs.

None of them spends tokens unless `Gateway.spend` says so: they ask for counts, local pages, and requests that are
refused. What cannot be judged is not run, and says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from neurolink_mitm.doctor.contract_gateway import (
    COUNT,
    ECHO,
    MESSAGES,
    MODEL,
    TURN,
    Answer,
    Gateway,
    echoed,
)

DISCOVERY_LIMIT = 3.0
"""Seconds that Claude Code waits for the list of models."""
PREFIXES = ("claude", "anthropic")
TOO_SHORT = 0.2
"""Seconds of a stream in which buffering can't be told from speed."""
UNKNOWN = "neurolink-contract-2099-01-01"
"""A beta and a field that nobody has."""
NO_COUNT = "needs count_tokens from Anthropic's API or the sandbox"
NO_TOKENS = "would cost tokens: pass --spend"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`came` is what was not as expected, or why the row was not run."""

    state: Literal["ok", "failed", "not run"]
    came: str = ""


Probe = Callable[[Gateway], Outcome]
OK = Outcome("ok")


def failed(came: object) -> Outcome:
    return Outcome("failed", str(came))


def not_run(why: str) -> Outcome:
    return Outcome("not run", why)


def judged(holds: bool, came: object) -> Outcome:
    return OK if holds else failed(came)


def counting(probe: Probe) -> Probe:
    """Return `probe`, not run where no tokens can be counted."""

    def run(gateway: Gateway) -> Outcome:
        return probe(gateway) if gateway.counts else not_run(NO_COUNT)

    return run


def by_name(answer: Answer, name: str) -> Outcome:
    """Return whether upstream has refused what is called `name`, which it then got."""
    if not answer.by_anthropic or answer.status not in (200, 400):
        return not_run(f"count_tokens is answered by {answer}")
    return judged(answer.status == 400 and name in answer.refusal[1], answer)


def messages_path(gateway: Gateway) -> Outcome:
    """Send requests without a model, which are refused: the path is there, with and without its query."""
    for path in (MESSAGES, MESSAGES.partition("?")[0]):
        answer = gateway.post(path, {})
        if answer.for_nobody:
            return not_run(str(answer))
        if answer.status != 400 or answer.refusal[0] != "invalid_request_error":
            return failed(answer)
    return OK


def count_tokens(gateway: Gateway) -> Outcome:
    answer = gateway.counted
    if answer.status == 200:
        return judged(isinstance(answer.document.get("input_tokens"), int), answer)
    if answer.status in (0, 404, 405) and not answer.for_nobody:
        return failed(answer)
    return not_run(str(answer))


def anthropic_version(gateway: Gateway) -> Outcome:
    """Send a version that does not exist: the sandbox shows it, and Anthropic refuses it by name."""
    version = "2099-01-01"
    answer = gateway.count({"anthropic-version": version})
    if got := echoed(answer):
        return judged(got[1].get("anthropic-version") == version, f"upstream got {got[1]}")
    if answer.status == 400 and "anthropic-version" in answer.refusal[1]:
        return OK
    return not_run("upstream did not say which version it got")


def anthropic_beta(gateway: Gateway) -> Outcome:
    """Send a beta that does not exist: the sandbox shows it, and Anthropic refuses it by name.

    https://platform.claude.com/docs/en/api/beta-headers#error-handling
    """
    betas = f"{UNKNOWN},token-counting-2024-11-01"
    answer = gateway.count({"anthropic-beta": betas})
    if got := echoed(answer):
        value = got[1].get("anthropic-beta", "")
        return judged(value.startswith(betas), f"upstream got anthropic-beta {value!r}")
    return by_name(answer, UNKNOWN)


def open_lists(gateway: Gateway) -> Outcome:
    """Send a header and a field of a release to come."""
    headers = {
        "anthropic-neurolink-contract": "1",
        "x-claude-code-session-id": "neurolink-contract",
        "x-claude-code-agent-id": "a",
        "x-claude-code-parent-agent-id": "b",
    }
    name = UNKNOWN.replace("-", "_")
    answer = gateway.count(headers, **{name: True})
    if got := echoed(answer):
        missing = [each for each, value in headers.items() if got[1].get(each) != value]
        return judged(not missing, f"upstream did not get {', '.join(missing)}")
    return by_name(answer, name)


def _as_it_came(gateway: Gateway, body: bytes) -> Outcome:
    answer = gateway.send(COUNT, body, {ECHO: "1"})
    if not (got := echoed(answer)):
        return not_run("only the sandbox says which bytes it got")
    same = got[0] == hashlib.sha256(body).hexdigest()
    return judged(same, "upstream got another body than was sent")


def body_unchanged(gateway: Gateway) -> Outcome:
    """Send the fields that go with betas, in a layout that nobody writes."""
    tool = {"name": "t", "strict": True, "defer_loading": True, "eager_input_streaming": True}
    fields = {
        "model": MODEL,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "tools": [tool | {"input_schema": {"type": "object"}}],
        "messages": [TURN, {"role": "system", "content": "\u00e9 1.0 1e2"}],
    }
    return _as_it_came(gateway, json.dumps(fields, indent=1, separators=(" ,", " : ")).encode())


def attribution_block(gateway: Gateway) -> Outcome:
    """Send a system prompt whose first block has to stay the first, and a block of its own."""
    texts = ("x-anthropic-billing-header: cc_version=0.0.0;", "You count.")
    system = [{"type": "text", "text": text} for text in texts]
    fields = {"model": MODEL, "system": system, "messages": [TURN]}
    return _as_it_came(gateway, json.dumps(fields).encode())


def errors_unmodified(gateway: Gateway) -> Outcome:
    """Have upstream refuse a request: its words and its request id have to come back."""
    answer = gateway.count(messages=[])
    if answer.for_nobody or answer.status >= 500:
        return not_run(str(answer))
    shown, request_id = answer.document.get("request_id"), answer.headers.get("request-id")
    words = "at least one message is required" in answer.refusal[1]
    return judged(answer.status == 400 and words and shown == request_id is not None, answer)


def unknown_model(gateway: Gateway) -> Outcome:
    """Ask for the tokens of a model that nobody has: no mapping that takes any name can make that cost something."""
    answer = gateway.count(model="neurolink-no-such-model")
    if answer.status == 200:
        return not_run("a mapping takes any name")
    if answer.for_nobody or answer.status >= 500:
        return not_run(str(answer))
    return judged(answer.status == 404 and answer.refusal[0] == "not_found_error", answer)


def body_inspection(gateway: Gateway) -> Outcome:
    """Send what a web application firewall takes for an attack, and what a prompt is full of."""
    text = (
        "<script>alert(1)</script> ' OR '1'='1'; DROP TABLE x;-- ../../etc/passwd ${jndi:ldap://x}"
    )
    answer = gateway.count(messages=[{"role": "user", "content": text}])
    if answer.for_nobody or answer.status >= 500:
        return not_run(str(answer))
    return judged(answer.status == 200, answer)


def credentials(gateway: Gateway) -> Outcome:
    """Show the key in either header, as Claude Code's variables do, and none at all."""
    key = gateway.key or "neurolink"
    for shown in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        answer = gateway.listed(shown)
        if answer.status == 401 and gateway.key is None:
            return not_run("a key is demanded, and none is known: set ANTHROPIC_AUTH_TOKEN")
        if answer.status != 200:
            return failed(f"with {next(iter(shown))}: {answer}")
    bare = gateway.listed({})
    ours = bare.status == 401 and bare.refusal[0] == "authentication_error"
    return judged(bare.status == 200 or ours, f"without a key: {bare}")


def model_discovery(gateway: Gateway) -> Outcome:
    """Ask for the models as Claude Code does, which takes no redirect and shows names of its own models only."""
    answer = gateway.models
    took = answer.chunks[-1][0] if answer.chunks else 0.0
    if answer.status == 401 and gateway.key is None:
        return not_run("a key is demanded, and none is known: set ANTHROPIC_AUTH_TOKEN")
    if answer.status != 200:
        return failed(answer)
    if took >= DISCOVERY_LIMIT:
        return failed(f"it took {took:.1f} s")
    data = answer.document.get("data")
    if not isinstance(data, list) or not all(_is_model(each) for each in data):
        return failed("data is no list of models with an id")
    shown = [each for each in data if each["id"].lower().startswith(PREFIXES)]
    return judged(bool(shown), "no id begins with claude or anthropic")


def _is_model(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        return False
    return isinstance(entry.get("display_name", ""), str)


def no_redirects(gateway: Gateway) -> Outcome:
    """Look whether any path that Claude Code asks leads elsewhere."""
    answers = {
        "/v1/models": gateway.models,
        "/v1/messages": gateway.post(MESSAGES, {}),
        COUNT: gateway.counted,
        "/": gateway.ask("HEAD", "/"),
    }
    led = [path for path, answer in answers.items() if 300 <= answer.status < 400]
    return judged(not led, f"redirected: {', '.join(led)}")


def startup_probes(gateway: Gateway) -> Outcome:
    """Send the probes that warm a connection up: any answer will do, silence will not."""
    for path in ("/", "/api/hello"):
        answer = gateway.ask("HEAD", path)
        if not answer.status or answer.status >= 500:
            return failed(f"HEAD {path}: {answer}")
    return OK


def _streamed(gateway: Gateway) -> Answer | Outcome:
    if not gateway.spend and not gateway.on_sandbox:
        return not_run(NO_TOKENS if gateway.counts else NO_COUNT)
    answer = gateway.streamed
    if answer.status == 200:
        return answer
    return failed(answer) if answer.status in (0, 404) else not_run(str(answer))


def streaming(gateway: Gateway) -> Outcome:
    """Have a message streamed, and look when its events came."""
    answer = _streamed(gateway)
    if isinstance(answer, Outcome):
        return answer
    content = [at for at, chunk in answer.chunks if b"content_block_delta" in chunk]
    if not content or b"event: message_stop" not in answer.body:
        return failed("no whole message came as server-sent events")
    end = answer.chunks[-1][0]
    if end < TOO_SHORT:
        return not_run(f"all of it was there after {end:.2f} s, too soon to tell")
    return judged(content[0] < end - TOO_SHORT / 3, f"all of it came at once, after {end:.2f} s")


def pings(gateway: Gateway) -> Outcome:
    """Look for upstream's ping in the streamed message."""
    answer = _streamed(gateway)
    if isinstance(answer, Outcome):
        return answer
    return judged(b"event: ping" in answer.body, "the stream has no ping")
