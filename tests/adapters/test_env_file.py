from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from neurolink_mitm.adapters.env_edit import remove_variable, set_variable
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


ODD: list[tuple[str, str, dict[str, str]]] = [
    ("plain", f"A={KEY}\n", {"A": KEY}),
    ("no line end", "A=1", {"A": "1"}),
    ("byte order mark", "\ufeffA=1\nB=2\n", {"A": "1", "B": "2"}),
    ("windows", "A=1\r\n\r\n# c\r\nB='2'\r\n", {"A": "1", "B": "2"}),
    ("export", f"export A = '{KEY}'\n", {"A": KEY}),
    ("spaces", "  A  =  1 2  \n", {"A": "1 2"}),
    ("comment behind", 'A="1" # one\nB=2 # two\nC=3#4\n', {"A": "1", "B": "2", "C": "3#4"}),
    ("comment in quotes", "A='1 # 2'\n", {"A": "1 # 2"}),
    (
        "escapes",
        'A="two\\nlines \\"q\\""\nB=\'a\\nb\'\nC=a\\nb\n',
        {"A": 'two\nlines "q"', "B": "a\\nb", "C": "a\\nb"},
    ),
    ("lines in quotes", 'A="1\n2"\nB=3\n', {"A": "1\n2", "B": "3"}),
    ("twice", "A=1\nB=2\nA=3\n", {"A": "3", "B": "2"}),
    ("empty", "A=\nB=''\n", {"A": "", "B": ""}),
    ("name alone", "A\nB=2\n", {"B": "2"}),
    ("equals signs", "A=b=c==\n", {"A": "b=c=="}),
    ("references", "A=$B\nC=${B}\nB=1\n", {"A": "$B", "C": "${B}", "B": "1"}),
    ("quoted name", "'A'=1\n", {"A": "1"}),
    ("letters", "A=büro\n", {"A": "büro"}),
]
"""How a file is called, its text, and what python-dotenv reads there with `interpolate=False`."""
odd = pytest.mark.parametrize(
    ("text", "values"), [pytest.param(*rest, id=name) for name, *rest in ODD]
)


@odd
def test_odd_files(place: Home, text: str, values: dict[str, str]) -> None:
    place.env.write_bytes(text.encode())
    assert read_environment({}, place).values == values
    theirs = dotenv_values(stream=StringIO(text.removeprefix("\ufeff")), interpolate=False)
    assert {name: value for name, value in theirs.items() if value is not None} == values


@odd
def test_an_edit_leaves_them_as_they_are_but_for_the_one_variable(
    place: Home, text: str, values: dict[str, str]
) -> None:
    place.env.write_bytes(text.encode())
    set_variable(place.env, "X", "9")
    assert read_environment({}, place).values == values | {"X": "9"}
    assert place.env.read_bytes().startswith(text.encode())
    set_variable(place.env, "X", "10")
    remove_variable(place.env, "X", "10")
    assert place.env.read_bytes().decode().rstrip("\n") == text.rstrip("\n")


def test_a_variable_behind_a_byte_order_mark_is_found(place: Home) -> None:
    place.env.write_bytes("\ufeffX=1\nA=2\n".encode())
    set_variable(place.env, "X", "3")
    assert place.env.read_text() == "\ufeffX=3\nA=2\n"
    remove_variable(place.env, "X", "3")
    assert place.env.read_text() == "\ufeffA=2\n"


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
