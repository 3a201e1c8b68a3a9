"""`neurolink config`."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.adapters.cluster_key import make_cluster_key
from neurolink_mitm.cli import main
from tests.cli.logins import environment

KEY = "sk-ant-test-key"
GOOD = "version: 1\naccounts:\n  anthropic:\n    - {name: ci, apiKey: '${KEY}'} # mine\n"
GOOD_LINE = "version: 1"
BAD = "version: 1\nnonsense: 1\ntimeouts: {idle: soon}\n"


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEY", KEY)
    place = home / ".neurolink"
    place.mkdir(mode=0o700)
    return place


@pytest.fixture
def file(place: Path) -> Path:
    path = place / "proxy-config.yaml"
    path.write_text(GOOD)
    path.chmod(0o640)
    return path


def config(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["config", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert KEY not in result.output
    return result


TOOLS = (
    "tools that speak OpenAI's API: claude-* by anthropic:ci; gpt-5 is not served until"
    " routing.model-mappings has a row for gpt-*"
)


def test_a_good_one_and_its_pool(file: Path) -> None:
    checked = config("check")
    assert (checked.exit_code, checked.stdout) == (
        0,
        f"{file} is good\n1 account, fill-first:\n  1. ci (API key, configuration)\n{TOOLS}\n",
    )


def test_a_replica_is_told_as_such(file: Path) -> None:
    make_cluster_key(file.parent / "cluster.key")
    file.write_text(f"{file.read_text()}cluster: {{url: 'redis://127.0.0.1:1/0', namespace: eu}}\n")
    assert "\na replica of the cluster eu\n" in config("check").stdout


def test_the_same_for_programs(file: Path) -> None:
    report = json.loads(config("check", "--format", "json").stdout)
    assert (report["ok"], report["faults"], report["strategy"]) == (True, [], "fill-first")
    assert [account["label"] for account in report["pool"]] == ["ci"]
    assert report["otherTools"] == TOOLS


def test_all_faults_at_once(file: Path) -> None:
    file.write_text(BAD)
    checked = config("check")
    assert (checked.exit_code, checked.stdout) == (2, "")
    first, *faults = checked.stderr.splitlines()
    assert first == f"neurolink: {file} can't be used:"
    assert [fault.split(":")[0].strip() for fault in faults] == ["nonsense", "timeouts.idle"]


def test_faults_for_programs(file: Path) -> None:
    file.write_text(BAD)
    checked = config("check", "--format", "json")
    report = json.loads(checked.stdout)
    assert (checked.exit_code, report["ok"], len(report["faults"])) == (2, False, 2)


def test_a_key_that_is_written_out_draws_a_warning(file: Path) -> None:
    file.write_text(GOOD.replace("${KEY}", KEY))
    checked = config("check")
    assert checked.exit_code == 0
    assert "warning: accounts.anthropic[0].apiKey: holds a key" in checked.stdout


def test_another_file_can_be_checked(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(BAD)
    assert config("check", str(other)).exit_code == 2
    assert config("check", str(tmp_path / "missing.yaml")).exit_code == 2


def test_none_at_all_is_good(place: Path) -> None:
    checked = config("check")
    assert checked.exit_code == 0
    assert "is not there: the defaults are in force" in checked.stdout


def test_looking_makes_no_home(home: Path) -> None:
    assert config("check").exit_code == 0
    assert config("show").exit_code == 0
    assert not (home / ".neurolink").exists()


def test_what_is_in_force(file: Path) -> None:
    lines = config("show").stdout.splitlines()
    assert lines[0] == f"# {file}"
    words = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert words["accounts.anthropic[0].apiKey"] == ["**********", "#", "file:", "${KEY}"]
    assert words["timeouts.idle"] == ["300"]


def test_the_same_as_json(file: Path) -> None:
    report = json.loads(config("show", "--format", "json").stdout)
    assert report["config"]["accounts"]["anthropic"][0]["name"] == "ci"
    assert report["origins"]["timeouts.idle"] == "default"


def test_a_bad_one_can_not_be_shown(file: Path) -> None:
    file.write_text(BAD)
    assert config("show").exit_code == 2


def test_where_it_is(home: Path) -> None:
    assert config("path").stdout == f"{home}/.neurolink/proxy-config.yaml\n"


def test_the_schema_that_was_installed() -> None:
    installed = Path(config("path", "--schema").stdout.strip())
    assert installed.read_text() == config("schema").stdout
    assert json.loads(installed.read_text())["title"]


@pytest.mark.parametrize("name", ["clients.json", "tokens.json"])
def test_another_file_that_is_broken_is_told(file: Path, name: str) -> None:
    file.with_name(name).write_text('{"version":"x"')
    result = config("check")
    assert (result.exit_code, name in result.stderr) == (2, True)


def test_a_missing_env_file_is_one_line(file: Path) -> None:
    for command in ("check", "show", "edit"):
        ended = config(command, "--env-file", "missing.env")
        assert ended.exit_code == 2
        assert "missing.env: no such file" in ended.stderr


# --- edit


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the user saves: the content of the file `typed`, if there is one."""
    typed, script = tmp_path / "typed", tmp_path / "editor"
    script.write_text(f'#!/bin/sh\n[ ! -e {typed} ] || cat {typed} > "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    return typed


def test_a_good_edit_is_written(file: Path, editor: Path) -> None:
    editor.write_text(GOOD + "timeouts: {idle: 5} # shorter\n")
    edited = config("edit")
    assert edited.exit_code == 0
    assert file.read_text() == editor.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert not file.with_name("proxy-config.edit.yaml").exists()


def test_an_edit_is_undone(file: Path, editor: Path) -> None:
    editor.write_text(GOOD + "timeouts: {idle: 5}\n")
    assert config("undo").exit_code == 1
    config("edit")
    file.write_text(GOOD + "timeouts: {idle: 6}\n")
    changed = config("undo")
    assert (changed.exit_code, "--force" in changed.stderr) == (1, True)
    assert config("undo", "--force").exit_code == 0
    assert file.read_text() == GOOD
    assert config("undo").exit_code == 0
    assert file.read_text() == GOOD + "timeouts: {idle: 6}\n"
    assert "no earlier version" in config("undo").stderr


def test_a_bad_edit_is_kept_beside_and_taken_up_again(file: Path, editor: Path) -> None:
    editor.write_text(BAD)
    edited = config("edit")
    kept = file.with_name("proxy-config.edit.yaml")
    assert edited.exit_code == 2
    assert "timeouts.idle" in edited.stderr
    assert str(kept) in edited.stderr
    assert (file.read_text(), kept.read_text()) == (GOOD, BAD)
    editor.unlink()
    again = config("edit")
    assert f"going on with {kept}" in again.stderr
    assert again.exit_code == 2


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("cluster: {url: 'redis://127.0.0.1:1/0', key-file: none.key}\n", "none.key is missing"),
        ("listen: {cert: none.pem}\n", "listen.key: must be set, too"),
    ],
    ids=["key of a cluster", "certificate"],
)
def test_what_a_start_would_refuse_is_not_written(
    file: Path, editor: Path, added: str, fault: str
) -> None:
    editor.write_text(GOOD + added)
    edited = config("edit")
    assert (edited.exit_code, fault in edited.stderr) == (2, True)
    assert file.read_text() == GOOD
    file.with_name("proxy-config.edit.yaml").unlink()
    file.write_text(GOOD + added)  # so was it before: then it is in nobody's way
    editor.write_text(GOOD + added + "# other\n")
    assert config("edit").exit_code == 0


def test_without_a_change_nothing_is_written(file: Path, editor: Path) -> None:
    before = file.stat()
    edited = config("edit")
    assert (edited.exit_code, edited.stdout) == (0, "nothing was changed\n")
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_the_first_one_is_made(place: Path, editor: Path) -> None:
    editor.write_text(GOOD)
    assert config("edit").exit_code == 0
    made = place / "proxy-config.yaml"
    assert (made.read_text(), stat.S_IMODE(made.stat().st_mode)) == (GOOD, 0o600)


def test_what_another_wrote_meanwhile_is_not_lost(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\necho "# mine" >> "$1"\necho "# theirs" >> {file}\n')
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    edited = config("edit")
    assert edited.exit_code == 1
    assert "was changed meanwhile" in edited.stderr
    assert file.read_text() == GOOD + "# theirs\n"
    assert file.with_name("proxy-config.edit.yaml").read_text() == GOOD + "# mine\n"


def test_an_editor_that_fails_costs_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "false")
    edited = config("edit")
    assert edited.exit_code == 1
    assert file.read_text() == GOOD


def test_on_a_terminal_a_bad_edit_is_edited_again(home: Path, file: Path, tmp_path: Path) -> None:
    script = tmp_path / "editor"
    script.write_text(
        f"""#!/bin/sh\ngrep -q nonsense "$1" && printf '{GOOD_LINE}' > "$1" || echo 'nonsense: 1' > "$1"\n"""
    )
    script.chmod(0o755)
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "neurolink_mitm.cli", "config", "edit"],
        env=environment(home, VISUAL=str(script)),
        encoding="utf-8",
        timeout=20,
    )
    terminal.expect("nonsense: unknown key")
    terminal.expect("Edit it again")
    terminal.sendline("")
    terminal.expect("is written")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert file.read_text() == "version: 1"


def test_an_unknown_provider_is_refused(file: Path) -> None:
    file.write_text(GOOD + "routing: {fallback-chain: [{provider: opnai, model: m}]}\n")
    checked = config("check")
    assert checked.exit_code == 2
    assert 'no provider is called "opnai", did you mean "openai"?' in checked.output


def test_a_desktop_that_is_not_there_is_a_warning(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("notify: {desktop: on}\n")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    for name in ("PATH", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    warning = "notify.desktop: there is no desktop here"
    assert warning in config("check").stdout
    (tmp_path / "notify-send").write_text("#!/bin/sh\n")
    (tmp_path / "notify-send").chmod(stat.S_IRWXU)
    assert warning not in config("check").stdout
