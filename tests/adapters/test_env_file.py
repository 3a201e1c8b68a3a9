from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.adapters.env_file import EnvFileError, read_environment
from neurolink_mitm.adapters.home import Home

KEY = "sk-ant-test-key"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    home = Home(tmp_path / "state")
    home.create()
    return home


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_file_there_is_the_processs_environment(place: Home) -> None:
    found = read_environment({"A": "1"}, place)
    assert (found.values, found.warnings) == ({"A": "1"}, ())


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (f"A={KEY}", KEY),
        (f"export A = '{KEY}'", KEY),
        (f'A="{KEY}" # the first', KEY),
        ("A=", ""),
        (r'A="two\nlines"', "two\nlines"),
        (f"\ufeffA={KEY}\r\n", KEY),
    ],
    ids=["plain", "export", "quoted", "empty", "escaped", "windows"],
)
def test_lines(place: Home, line: str, value: str) -> None:
    written(place.env, f"{line}\nB=2\n")
    assert read_environment({}, place).values == {"A": value, "B": "2"}


def test_the_process_wins_unless_it_is_empty(place: Home) -> None:
    written(place.env, "A=file\nB=file\n")
    assert read_environment({"A": "", "B": "process"}, place).values == {
        "A": "file",
        "B": "process",
    }


def test_nothing_is_exported(place: Home) -> None:
    written(place.env, "ONLY_IN_THE_FILE=1\n")
    read_environment(os.environ, place)
    assert "ONLY_IN_THE_FILE" not in os.environ


def test_the_option_goes_before_the_variable_and_that_before_home(
    place: Home, tmp_path: Path
) -> None:
    asked, named = (written(tmp_path / name, f"FROM={name}\n") for name in ("asked", "named"))
    written(place.env, "FROM=home\n")
    environ = {"NEUROLINK_ENV_FILE": str(named)}
    assert read_environment(environ, place, asked).values["FROM"] == "asked"
    assert read_environment(environ, place).values["FROM"] == "named"
    assert read_environment({}, place).values["FROM"] == "home"


def test_a_file_that_was_named_must_be_there(place: Home, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(EnvFileError, match=f"{missing}: no such file"):
        read_environment({}, place, missing)
    with pytest.raises(EnvFileError, match=f"{missing}: no such file"):
        read_environment({"NEUROLINK_ENV_FILE": str(missing)}, place)


@pytest.mark.parametrize(
    ("text", "line"),
    [(f"A=1\nkey {KEY}\n", 2), (f'A="{KEY}\nB=2\n', 1), (f"={KEY}\n", 1)],
    ids=["words", "open quote", "no name"],
)
def test_a_line_that_can_not_be_read_is_named_and_not_shown(
    place: Home, text: str, line: int
) -> None:
    written(place.env, text)
    with pytest.raises(EnvFileError) as e:
        read_environment({}, place)
    assert str(e.value) == f"{place.env}: line {line} is not NAME=value"


@pytest.mark.parametrize("data", [b"A=\xff", b"A=" + b"x" * 1_000_001], ids=["bytes", "large"])
def test_what_is_no_such_file_is_refused(place: Home, data: bytes) -> None:
    place.env.write_bytes(data)
    with pytest.raises(EnvFileError, match=str(place.env)):
        read_environment({}, place)


def test_a_directory_is_refused(place: Home) -> None:
    place.env.mkdir()
    with pytest.raises(EnvFileError, match="can't be read: Is a directory"):
        read_environment({}, place)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604], ids=oct)
def test_a_file_that_others_can_read_draws_a_warning(place: Home, mode: int) -> None:
    written(place.env, "A=1\n", mode)
    [warning] = read_environment({}, place).warnings
    assert warning.endswith(f"run chmod 600 {place.env}")


def test_a_reference_is_taken_as_it_stands_and_says_so(place: Home) -> None:
    written(place.env, "A=${B}\nB=1\n")
    found = read_environment({}, place)
    assert found.values["A"] == "${B}"
    assert found.warnings == (f"{place.env}: A holds ${{…}}, which is taken as it stands there",)


def test_no_value_is_shown(place: Home) -> None:
    written(place.env, f"A={KEY}\n")
    assert KEY not in repr(read_environment({"B": KEY}, place))
