from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.variants import ORDINARY, earlier, forgetful


def test_connections_are_kept_for_a_second_where_that_can_be_set() -> None:
    assert "network: {idle: 1}" in forgetful(ORDINARY).settings


def test_a_checkout_that_does_not_know_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "configuration.md").write_text("| `network.caBundle` | none |\n")
    assert forgetful(earlier(tmp_path)) == earlier(tmp_path)


def test_what_else_is_set_stays() -> None:
    variant = replace(ORDINARY, settings="logging: {captureBodies: off}\n")
    assert forgetful(variant).settings.startswith(variant.settings)
