from __future__ import annotations

import pytest

from neurolink_mitm.core.auth.credentials import check_label
from neurolink_mitm.core.auth.labels import unique


@pytest.mark.parametrize(
    ("wish", "taken", "label"),
    [
        pytest.param("a@b.c", [], "a@b.c", id="free"),
        pytest.param("a", ["a", "a-2"], "a-3", id="taken"),
        pytest.param("", [], "account", id="empty"),
        pytest.param(" \x1b[31m\n", [], "[31m", id="not printable"),
        pytest.param("x" * 200, ["x" * 60], "x" * 60 + "-2", id="long"),
    ],
)
def test_labels_are_legal_and_unique(wish: str, taken: list[str], label: str) -> None:
    assert unique(wish, taken) == check_label(label)
