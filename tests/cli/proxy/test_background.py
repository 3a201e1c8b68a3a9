from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.proxy import background
from neurolink_mitm.cli.proxy.background import ServiceOptions


def test_files_are_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service is started elsewhere."""
    monkeypatch.chdir(tmp_path)
    asked = ServiceOptions(1, "127.0.0.1", Path("a.yaml"), Path("b.env"))
    assert asked.arguments[-4:] == (
        "--config",
        str(tmp_path / "a.yaml"),
        "--env-file",
        str(tmp_path / "b.env"),
    )


def test_a_service_gets_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "HTTPS_PROXY", "CLAUDE_CONFIG_DIR"):
        monkeypatch.setenv(name, "set")
    service = background.service(Home(tmp_path), ServiceOptions(1, "127.0.0.1", None, None))
    assert {"HTTPS_PROXY", "CLAUDE_CONFIG_DIR"} <= service.environment.keys()
    assert not {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"} & service.environment.keys()


def test_where_none_runs_none_serves(tmp_path: Path) -> None:
    assert background.serving(Home(tmp_path)) is None


def test_it_does_not_wait_for_what_has_ended(tmp_path: Path) -> None:
    assert background.wait(Home(tmp_path), lambda: False) is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["one\n", "neurolink: two\n", "\n"], "two"),
        ([], "it said nothing"),
        (["of the last time\n", "--- started 2026\n"], "it said nothing"),
    ],
    ids=["lines", "nothing", "of-the-last-time"],
)
def test_the_last_words_are_the_reason(lines: list[str], words: str) -> None:
    assert background.last_words(lines) == words
