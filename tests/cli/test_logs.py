"""`neurolink logs`, on what a real proxy has written."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main
from tests.cli.processes import MESSAGE, Shell
from tests.waiting import LIMIT, wait_until

CONFIG = "version: 1\nlogging: {capture-bodies: all}\n"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, list[str]]]:
    """A home in which four requests were answered, and their ids; the third met a rate limit first."""
    with Shell(tmp_path_factory.mktemp("logged") / "shell") as shell:
        config = shell.write("proxy-config.yaml", CONFIG)
        proxy, url = shell.serve("--sandbox", "--no-claude-settings", "-c", str(config))
        ids = []
        with httpx.Client(base_url=url, timeout=LIMIT, trust_env=False) as client:
            for number in range(4):
                headers = {"x-claude-code-session-id": f"session-{number}"}
                answer = client.post("/v1/messages", json=MESSAGE, headers=headers)
                ids.append(answer.headers["x-neurolink-request-id"])
        proxy.signal()
        assert proxy.exit_code() == 0
        yield shell, ids


def neurolink(logged: tuple[Shell, list[str]], *arguments: str) -> Result:
    home = str(logged[0].home / ".neurolink")
    return CliRunner().invoke(main, ["logs", *arguments], env={"NEUROLINK_HOME": home})


def test_show_tells_what_became_of_a_request(logged: tuple[Shell, list[str]]) -> None:
    shown = neurolink(logged, "show", logged[1][2])
    assert shown.exit_code == 0
    head, *rest = shown.stdout.splitlines()
    assert head.startswith(f"{logged[1][2]}  20")
    assert "POST /v1/messages" in head
    text = "\n".join(rest)
    assert "attempt 1: alpha (api_key), 429 rate_limit_error, after " in text
    assert "attempt 2: beta (api_key), 200, after " in text
    assert "first byte to the client" in text
    assert "200 complete, end_turn, tokens: " in text


def test_show_prints_headers_and_bodies(logged: tuple[Shell, list[str]]) -> None:
    text = neurolink(logged, "show", logged[1][2]).stdout
    assert "── client request: POST /v1/messages" in text
    assert "── upstream request, attempt 1 (alpha): POST http://127.0.0.1:" in text
    assert "── upstream response, attempt 1 (alpha): 429" in text
    assert "x-api-key: ***" in text
    assert '  "model": "claude-sonnet-4-6",' in text
    assert "event: message_stop" in text
    assert "sk-ant-" not in text
    sides = [line.split(":")[0] for line in text.splitlines() if line.startswith("──")]
    assert [side[3:] for side in sides] == [
        "client request",
        "upstream request, attempt 1 (alpha)",
        "upstream response, attempt 1 (alpha)",
        "upstream request, attempt 2 (beta)",
        "upstream response, attempt 2 (beta)",
        "client response",
    ]


def test_show_without_bodies(logged: tuple[Shell, list[str]]) -> None:
    shown = neurolink(logged, "show", "--no-bodies", logged[1][2])
    assert "──" not in shown.stdout
    assert "attempt 2: beta" in shown.stdout


def test_show_for_programs(logged: tuple[Shell, list[str]]) -> None:
    report = json.loads(neurolink(logged, "show", "--format", "json", logged[1][2]).stdout)
    assert report["request"]["attempts"] == 2
    assert [attempt["account"] for attempt in report["attempts"]] == ["alpha", "beta"]
    assert report["captured"][0]["body"]["body"]["model"] == MESSAGE["model"]


@pytest.mark.parametrize("wanted", ["req_nl_nobody", "é", '"'])
def test_show_of_a_request_that_is_not_known(logged: tuple[Shell, list[str]], wanted: str) -> None:
    shown = neurolink(logged, "show", wanted)
    assert shown.exit_code == 1
    assert "see: neurolink logs tail" in shown.stderr
    assert shown.stdout == ""


def test_tail_shows_the_latest_last(logged: tuple[Shell, list[str]]) -> None:
    lines = neurolink(logged, "tail", "-n", "2").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == logged[1][2:]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--account", "beta"], [2, 3]),
        (["--account", "nobody"], []),
        (["--session", "session-1"], [1]),
        (["--status", "2xx", "--account", "alpha"], [0, 1]),
        (["--status", "error"], []),
    ],
)
def test_tail_shows_what_is_asked_for(
    logged: tuple[Shell, list[str]], options: list[str], found: list[int]
) -> None:
    lines = neurolink(logged, "tail", "--format", "json", *options).stdout.splitlines()
    assert [json.loads(line)["requestId"] for line in lines] == [logged[1][n] for n in found]


@pytest.mark.parametrize("status", ["9zz", "42x", "failed", "4290"])
def test_tail_takes_no_status_that_there_is_not(home: Path, status: str) -> None:
    ended = CliRunner().invoke(main, ["logs", "tail", "--status", status])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "neither 429, 5xx nor one of complete, error" in ended.stderr


def test_tail_finds_labels_that_json_writes_in_another_way(home: Path) -> None:
    row = {"timestamp": "2026-11-21T10:00:00.000Z", "account": 'a "ü', "sessionId": "s\\1"}
    logs = home / ".neurolink" / "logs"
    logs.mkdir(parents=True)
    (logs / "proxy-2026-11-21.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    found = CliRunner().invoke(
        main, ["logs", "tail", "--account", 'a "ü', "--session", "s\\", "--format", "json"]
    )
    assert json.loads(found.stdout)["account"] == 'a "ü'


def test_tail_where_there_is_nothing(home: Path) -> None:
    ended = CliRunner().invoke(main, ["logs", "tail"])
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "no such request" in ended.stderr


def test_tail_leaves_out_what_is_torn(home: Path) -> None:
    logs = home / ".neurolink" / "logs"
    logs.mkdir(parents=True)
    whole = b'{"timestamp":"2026-11-22T10:00:00.000Z","requestId":"req_1","outcome":"complete"}\n'
    (logs / "proxy-2026-11-22.jsonl").write_bytes(b'{"time\n' + whole + b'{"timestamp":"2026')
    ended = CliRunner().invoke(main, ["logs", "tail"])
    assert len(ended.stdout.splitlines()) == 1
    assert "req_1" in ended.stdout


def test_tail_follows_until_it_is_interrupted(shell: Shell) -> None:
    proxy, url = shell.serve("--sandbox", "--no-claude-settings")
    tail = shell.start("logs", "tail", "--follow", "-n", "0")
    with httpx.Client(base_url=url, timeout=LIMIT, trust_env=False) as client:

        def seen() -> bool:
            client.post("/v1/messages", json=MESSAGE)
            return "complete" in tail.said

        wait_until(seen, "a request is shown")
    tail.signal(signal.SIGINT)
    assert tail.exit_code() == 130
    proxy.kill()


def test_export(logged: tuple[Shell, list[str]], tmp_path: Path) -> None:
    out = tmp_path / "out.har"
    ended = neurolink(logged, "export", "--har", logged[1][2], "-o", str(out))
    assert (ended.exit_code, ended.stdout) == (0, "")
    entries = json.loads(out.read_text())["log"]["entries"]
    assert [entry["response"]["status"] for entry in entries] == [429, 200]
    assert json.loads(entries[1]["request"]["postData"]["text"]) == MESSAGE
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "sk-ant-" not in out.read_text()


def test_export_of_a_time(logged: tuple[Shell, list[str]]) -> None:
    ended = neurolink(logged, "export", "--har", "--since", "1h")
    assert len(json.loads(ended.stdout)["log"]["entries"]) == 5
    assert "5 attempts" in ended.stderr


def test_export_replaces_nothing(logged: tuple[Shell, list[str]], tmp_path: Path) -> None:
    (tmp_path / "out.har").write_text("mine")
    ended = neurolink(logged, "export", "--har", logged[1][0], "-o", str(tmp_path / "out.har"))
    assert ended.exit_code == 1
    assert "is there already" in ended.stderr
    assert (tmp_path / "out.har").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["req_1", "--since", "1h"], 2),
        (["--since", "soon"], 2),
        (["req_1"], 1),
        (["--since", "2099-01-01"], 1),
    ],
)
def test_export_of_what_is_not_there(
    logged: tuple[Shell, list[str]], arguments: list[str], code: int
) -> None:
    ended = neurolink(logged, "export", "--har", *arguments)
    assert ended.exit_code == code
    assert (ended.stdout, ended.stderr.count("\n")) == ("", 1)
