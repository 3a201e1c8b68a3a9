from __future__ import annotations

from pathlib import Path

from bench.comparison import Comparison, comparisons
from bench.rows import Rows


def named(rows: Rows) -> dict[str, Comparison]:
    return {each.part: each for each in comparisons(rows)}


def test_an_ordinary_run() -> None:
    found = named(Rows())
    assert {part: each.rows for part, each in found.items()} == {
        "plain": ("direct", "mitmdump", "neurolink"),
        "tls": ("direct", "mitmdump", "neurolink"),
        "accounts": ("2 accounts", "500 accounts"),
        "console": ("neurolink", "neurolink-console"),
        "chat": ("messages", "chat"),
    }
    assert [part for part, each in found.items() if each.tls] == ["tls"]
    assert all(each.baseline in each.rows for each in found.values())


def test_only_the_rows_that_were_chosen() -> None:
    assert named(Rows(("mitmdump",)))["tls"].rows == ("mitmdump",)


def test_options_are_compared_over_plain_http_and_an_earlier_one_everywhere(tmp_path: Path) -> None:
    rows = Rows(("direct", "neurolink", "neurolink-off"), tmp_path)
    assert named(rows)["plain"].rows == (*rows.names, "neurolink-earlier")
    assert named(rows)["tls"].rows == ("direct", "neurolink", "neurolink-earlier")
