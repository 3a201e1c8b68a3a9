"""What others may read.

The zip file, and the ends of logs.
"""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from neurolink_mitm.config.document import parse
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import MASK
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.shaping import WordObfuscator
from neurolink_mitm.doctor.support_bundle import Censor, plain, tail, write_bundle

SECRETS = [
    "sk-ant-test-config-1",
    "plain-client-key",
    "hunter2",
    "a-provider-key",
    "noted-token",
    "research",
    "a-nested-note",
]
DOCUMENT = {
    "accounts": {
        "anthropic": [
            {
                "name": "work",
                "apiKey": "sk-ant-test-config-1",
                "proxyUrl": "http://me:hunter2@proxy.example.com:3128",
                "metadata": {
                    "token": "noted-token",
                    "team": "research",
                    "more": [{"at": "a-nested-note"}],
                },
            }
        ]
    },
    "clients": {"api-keys": ["plain-client-key"]},
    "providers": {"openai": {"apiKey": "a-provider-key"}},
}


def test_a_configuration_without_its_secrets() -> None:
    text = json.dumps(plain(parse(DOCUMENT, {}).config))
    assert [secret for secret in SECRETS if secret in text] == []
    for kept in ("work", "proxy.example.com:3128", "team", "fill-first"):
        assert kept in text


def test_what_is_not_set_is_left_out() -> None:
    assert "rate_limit" not in plain(parse(DOCUMENT, {}).config)["accounts"][0]


@pytest.mark.parametrize(
    ("text", "censored"),
    [
        ("key=my-own-form-of-key!", f"key={MASK}!"),
        ("key my-own-form-of-key-2 and my-own-form-of-key", f"key {MASK} and {MASK}"),
        ("sk-ant-test-unknown-1234", MASK),
        ("Authorization: Bearer abcdefghijkl", f"Authorization: {MASK}"),
        ("/home/me/.neurolink/x", "~/.neurolink/x"),
        ("/home/meg/x and /home/me", "/home/meg/x and ~"),
        ("http://me:pw@proxy:1/", f"http://{MASK}@proxy:1/"),
        ("of me@example.com, Me@example.com, you@example.com", "of person-1, person-1, person-2"),
    ],
    ids=["known", "longest-first", "token", "bearer", "home", "another-home", "password", "people"],
)
def test_censored(text: str, censored: str) -> None:
    secrets = [
        Secret("my-own-form-of-key"),
        Secret("my-own-form-of-key-2"),
        Secret(""),
        Secret("a"),
    ]
    assert Censor(secrets, "/home/me/")(text) == censored


def test_people_are_the_same_throughout() -> None:
    censor = Censor([], "")
    assert censor("a@example.com") == censor("A@example.com") == "person-1"
    assert censor("b@example.com") == "person-2"


def test_a_webhooks_url_and_secret_are_stars() -> None:
    notify = Notify(
        webhook="https://hooks.example/T0/B0/secret", secret=Secret("s"), command=("tell",)
    )
    shown = plain(notify)
    assert (shown["webhook"], shown["secret"], shown["command"]) == (MASK, MASK, ["tell"])
    assert "webhook" not in plain(Notify())


def test_the_words_that_are_to_stay_here_are_stars() -> None:
    assert plain(WordObfuscator(True, ("bluebird", "redwing")))["words"] == [MASK, MASK]


def test_a_zip_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "report.zip"
    write_bundle(path, {"a.json": "{}", "logs/b": "ü\n"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a.json", "logs/b"]
        assert archive.read("logs/b").decode() == "ü\n"


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "report.zip"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_bundle(path, {})
    assert path.read_text() == "mine"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bundle(tmp_path / "nowhere" / "report.zip", {})


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nb\nc\n", ["b", "c"]),
        (b"a", ["a"]),
        (b"a\n\xff\n", ["a", "\ufffd"]),
    ],
    ids=["empty", "last-two", "one", "no-utf8"],
)
def test_the_end_of_a_file(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert tail(path, 2) == lines


def test_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond\nthird\n")
    assert tail(path, 10, most=9) == ["third"]


def test_the_end_of_no_file(tmp_path: Path) -> None:
    assert tail(tmp_path / "log", 2) == []
