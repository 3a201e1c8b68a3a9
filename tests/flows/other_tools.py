"""Other tools for real: each corrects a file through the proxy while the first account is limited.

    python -m tests.flows.other_tools NAME COMMAND FOLDER [--alone]

runs the installed COMMAND of a row of `RUNS` in FOLDER and prints a report as JSON. With `--alone` it is in a network
namespace of its own (`unshare --net`), where there is nothing but loopback, and counts who wanted to get out.
The tool's settings are those of `neurolink proxy env --for TOOL`; the answers of the model are scripted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurolink_mitm.adapters.journal import encode
from neurolink_mitm.cli.proxy import tool_settings
from neurolink_mitm.cli.proxy.tool_settings import NO_KEY, Settings
from neurolink_mitm.core.settings.values import Config, ModelMapping, Routing
from neurolink_mitm.sandbox import Account as SandboxAccount
from neurolink_mitm.sandbox import Reply as Scripted
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import Proxy, account
from tests.lookalikes.anthropic_answers import message_events, whole_message
from tests.lookalikes.script import Call, Json, Reply

WRONG, RIGHT = "Hello wrold\n", "Hello world\n"
FILE, PICTURE = "hello.txt", "dot.png"
ONE_DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
ASKED = f"Fix the spelling mistake in {FILE}"
MODEL, SMALL = "claude-sonnet-5", "claude-haiku-4-5"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

Answers = Sequence[Reply | Json]
"""Of the model, in turn: streamed, or a whole message where a dict."""
EDIT = Call("exec_command", {"cmd": f"sed -i s/wrold/world/ {FILE}"})
CODE = f"text(await tools.exec_command({json.dumps(EDIT.arguments)}))"
THOUGHT = "A patch will do."
PATCH = f"*** Begin Patch\n*** Update File: {FILE}\n@@\n-{WRONG}+{RIGHT}*** End Patch\n"
BLOCK = f"{FILE}\n```\n<<<<<<< SEARCH\n{WRONG}=======\n{RIGHT}>>>>>>> REPLACE\n```\n"
MULTI_EDIT = Call(
    "MultiEdit", {"file_path": FILE, "edits": [{"old_string": "wrold", "new_string": "world"}]}
)

IN_STEPS = (
    Reply("I look.", calls=[Call("Read", {"filepath": FILE}), Call("List", {"dirpath": "."})]),
    Reply(calls=[MULTI_EDIT]),
    Reply("Done."),
)
"""Continue's edit: it edits nothing that was not read before."""


@dataclass(frozen=True)
class Run:
    """One tool at work. `arguments` are made of the settings and the home, where files that it needs are written."""

    answers: Answers
    arguments: Callable[[Settings, Path], Sequence[str]]
    variables: Mapping[str, str] = field(default_factory=dict)
    model: str = MODEL


def codex(to: Settings, home: Path) -> Sequence[str]:
    """Write its configuration, with all that it asks of other servers switched off."""
    quiet = "[analytics]\nenabled = false\n[otel]\nmetrics_exporter = 'none'\n[features]\nplugins = false\n"
    folder = home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(tool_settings.codex(to, "bash") + quiet)
    return ("exec", "--sandbox", "danger-full-access", ASKED)


def codex_by_websocket(to: Settings, home: Path) -> Sequence[str]:
    arguments = codex(to, home)
    file = home / ".codex" / "config.toml"
    file.write_text(file.read_text().replace("wire_api", "supports_websockets = true\nwire_api"))
    return arguments


def aider(to: Settings, home: Path) -> Sequence[str]:
    models = home / "models.json"
    models.write_text(tool_settings.aider_models({MODEL: None, SMALL: None}))
    (home / ".aider.conf.yml").write_text(tool_settings.aider(to, str(models)))
    quiet = ("--no-analytics", "--no-check-update", "--no-show-release-notes", "--no-gitignore")
    return (*quiet, "--yes-always", "--message", ASKED, FILE)


def continue_(to: Settings, home: Path) -> Sequence[str]:
    file = home / ".continue" / "config.yaml"
    file.parent.mkdir()
    file.write_text(tool_settings.continue_(to))
    return ("--config", str(file), "--auto", "-p", ASKED)


def _done(model: str) -> Json:
    return whole_message(Reply("fix: spelling"), 9, model)


RUNS: Mapping[str, Run] = {
    "codex": Run(
        [
            Reply("I look.", calls=[EDIT, Call("multi_agent_v1__wait_agent", {"targets": ["x"]})]),
            Reply(calls=[Call("view_image", {"path": PICTURE})]),
            Reply("Done."),
        ],
        codex,
    ),
    "codex gpt-5.5": Run(
        [
            Reply(thinking=THOUGHT, calls=[Call("apply_patch", {"input": PATCH})]),
            Reply("Done."),
        ],
        codex_by_websocket,
        model="gpt-5.5",
    ),
    "codex gpt-6.1-sol": Run(
        [Reply(calls=[Call("exec", {"input": CODE})]), Reply("Done.")],
        codex,
        model="gpt-6.1-sol",
    ),
    "aider": Run(
        [Reply(f"I correct it.\n\n{BLOCK}"), _done(SMALL)],
        aider,
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
    "continue": Run(IN_STEPS, continue_, {"CONTINUE_CLI_ENABLE_TELEMETRY": "0"}),
    "continue gpt-5.5": Run(
        IN_STEPS, continue_, {"CONTINUE_CLI_ENABLE_TELEMETRY": "0"}, model="gpt-5.5"
    ),
}


@dataclass(frozen=True)
class Report:
    """What came of it."""

    code: int
    output: str
    file: str
    rows: Sequence[Json]
    """Of the requests in the log."""
    asked: Sequence[Json]
    """Bodies of the requests upstream that were answered."""
    outside: int
    """How often somebody wanted to reach another machine; -1 where that was not counted."""


def run(name: str, command: Path, folder: Path) -> Report:
    """Run it, alone with loopback where that is allowed."""
    words = [sys.executable, "-m", __spec__.name, name, str(command), str(folder)]
    alone = ["unshare", "--net", "--map-root-user"]
    tried = subprocess.run([*alone, "true"], capture_output=True, check=False)
    if tried.returncode == 0:
        words = [*alone, *words, "--alone"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Report(**json.loads(done.stdout.splitlines()[-1]))


def _at_work(each: Run, command: str, folder: Path) -> Report:
    home, repository = folder / "home", folder / "repository"
    home.mkdir()
    _repository(repository)
    keys = [SandboxAccount(name, f"sk-ant-test-{name}") for name in ("a", "b")]
    mapping = ModelMapping(from_="gpt-*", to=MODEL)
    with (
        SandboxServer(keys) as upstream,
        Proxy(
            [account("a", upstream.url), account("b", upstream.url)],
            Config(routing=Routing(model_mappings=(mapping,))),
        ) as proxy,
    ):
        upstream.script("a", Scripted(429, headers={"retry-after": "60"}))
        upstream.script("b", *(_scripted(answer, n) for n, answer in enumerate(each.answers)))
        settings = Settings(f"{proxy.url}/v1", NO_KEY, "", each.model, SMALL)
        done = subprocess.run(
            [command, *each.arguments(settings, home)],
            cwd=repository, env=_environment(home) | each.variables, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150,
        )  # fmt: skip
        rows = [json.loads(encode(row)) for row in proxy.rows.wait()]
        asked = [json.loads(r.body) for r in upstream.requests if r.account == "b"]
    output = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", done.stdout.decode(errors="replace"))
    return Report(done.returncode, output, (repository / FILE).read_text(), rows, asked, -1)


def _scripted(answer: Reply | Json, number: int) -> Scripted:
    if isinstance(answer, dict):
        return Scripted(body=json.dumps(answer).encode())
    events = message_events(answer, number, MODEL)
    stream = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return Scripted(body=stream.encode(), content_type="text/event-stream")


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), tool_settings.KEY_VARIABLE: NO_KEY}


def _repository(folder: Path) -> None:
    folder.mkdir()
    (folder / FILE).write_text(WRONG)
    (folder / PICTURE).write_bytes(b64decode(ONE_DOT))
    as_someone = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q"), ("add", "."), (*as_someone, "commit", "-q", "-m", "A greeting")):
        subprocess.run(["git", *words], cwd=folder, check=True, timeout=30)


def _raise_loopback() -> None:
    """Bring `lo` up, which is down in a new namespace. netdevice(7)"""
    with socket.socket() as each:
        interface = struct.pack("16sh", b"lo", 0)
        _, flags = struct.unpack("16sh", fcntl.ioctl(each, SIOCGIFFLAGS, interface))
        fcntl.ioctl(each, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def _without_route() -> int:
    """Return how many packets had nowhere to go: IpOutNoRoutes of RFC 4293, over IPv4 and IPv6."""
    names, values = re.findall(r"^Ip: (.*)$", Path("/proc/net/snmp").read_text(), re.MULTILINE)
    count = dict(zip(names.split(), map(int, values.split()), strict=True))["OutNoRoutes"]
    sixth = re.search(r"Ip6OutNoRoutes\s+(\d+)", Path("/proc/net/snmp6").read_text())
    return count + (int(sixth[1]) if sixth else 0)


def main(name: str, command: str, folder: str, *alone: str) -> None:
    if alone:
        _raise_loopback()
    report: dict[str, Any] = vars(_at_work(RUNS[name], command, Path(folder)))
    print(json.dumps(report | {"outside": _without_route() if alone else -1}))


if __name__ == "__main__":
    main(*sys.argv[1:])
