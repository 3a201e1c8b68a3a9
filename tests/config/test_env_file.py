from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.config.env_file import (
    EnvFileError,
    read_environment,
    remove_variable,
    set_variable,
    with_variable,
    without,
)

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


OTHERS = ["", "A=1\n", "# note\n\nA='x y' # why\n", "export A=1\r\nB=\n", 'A="two\nlines"\n', "A=1"]
named = pytest.mark.parametrize("text", OTHERS, ids=range(len(OTHERS)))


@named
def test_it_comes_last_and_goes_again(text: str) -> None:
    made = with_variable(text, "X", "http://a:1")
    assert made == text + ("" if not text or text.endswith("\n") else "\n") + "X=http://a:1\n"
    assert (without(made, "X", "http://a:1") or "").rstrip("\n") == text.rstrip("\n")


@named
def test_twice_is_once(text: str) -> None:
    made = with_variable(text, "X", "1")
    assert with_variable(made, "X", "1") == made


def test_a_value_is_replaced_in_its_place() -> None:
    assert with_variable("A=1\n\n# x\nX=old\nB=2\n", "X", "new") == "A=1\n\n# x\nX=new\nB=2\n"


def test_of_several_the_last_counts() -> None:
    assert with_variable("X=1\nX=2\n", "X", "3") == "X=1\nX=3\n"
    assert with_variable("X=1\nX=2\n", "X", "2") == "X=1\nX=2\n"


def test_another_value_stays() -> None:
    assert without("X=mine\n", "X", "ours") == "X=mine\n"


def test_where_nothing_is_left_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    set_variable(path, "X", "1")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("X=1\n", 0o600)
    remove_variable(path, "X", "1")
    assert not path.exists()
    remove_variable(path, "X", "1")
    assert not path.exists()


def test_links_and_modes_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / ".env"
    real.write_text("A=1\n")
    real.chmod(0o640)
    link.symlink_to(real)
    set_variable(link, "X", "1")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("A=1\nX=1\n", 0o640)


@given(
    st.lists(st.sampled_from(["A=1", "# c", "", " B = 'q' ", "X=0", "export X=5", "C"]), max_size=6)
)
def test_only_this_variable_changes(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    before, after = _read(text), _read(with_variable(text, "X", "9"))
    assert after == before | {"X": "9"}


def _read(text: str) -> dict[str, str | None]:
    import io

    return dict(dotenv_values(stream=io.StringIO(text), interpolate=False))


def test_a_line_that_says_so_already_stays_as_it_is() -> None:
    text = "export X='9' # mine\n"
    assert with_variable(text, "X", "9") == text
