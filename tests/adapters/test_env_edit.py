from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.adapters.env_edit import (
    remove_variable,
    set_variable,
    with_variable,
    without,
)

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
