from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import ChoiceLoader, DictLoader

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.settings.dashboard import Dashboard as Settings
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dashboard.page import Page, Part, View
from neurolink_mitm.dashboard.render import environment
from neurolink_mitm.dashboard.site import BusyError, Site
from neurolink_mitm.dashboard.web.parts import STALE, Fragment, LiveParts, Parts
from tests.fakes import make_runtime


class Looks:
    """Live parts `a` and `b`, which show a text; the clock stands still unless it is set."""

    def __init__(self, tmp_path: Path, mark: Callable[[View], object] | None = None) -> None:
        self.texts: dict[str, object] = {"a": "one", "b": "two"}
        self.asked: list[str] = []
        self.clock = 0.0
        self.site = Site(make_runtime(), Home(tmp_path))
        templates = environment()
        texts = {f"parts/{name}.html": "<p>{{ text }}</p>" for name in self.texts}
        assert templates.loader
        templates.loader = ChoiceLoader([DictLoader(texts), templates.loader])
        made = tuple(Part(name, self._context(name), live=True, mark=mark) for name in self.texts)
        page = Page("p", "P", made)
        self.parts = LiveParts(Parts([page], self.site, templates), lambda: self.clock)

    def look(self) -> Mapping[str, Fragment]:
        return self.parts.look(["a", "b"])

    def _context(self, name: str) -> Callable[[View], Mapping[str, Any]]:
        def context(_: View) -> Mapping[str, Any]:
            self.asked.append(name)
            text = self.texts[name]
            if isinstance(text, Exception):
                raise text
            return {"text": text}

        return context


def test_a_part_is_rendered_when_it_has_changed(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    first = looks.look()
    assert looks.look()["a"] is first["a"]
    looks.texts["a"] = "<other>"
    second = looks.look()
    assert "&lt;other&gt;" in second["a"].html
    assert second["a"].digest != first["a"].digest
    assert second["b"] is first["b"]


def test_a_part_is_rendered_when_the_dashboard_becomes_read_only(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    first = looks.look()["a"]
    looks.site.runtime.config = Config(dashboard=Settings(read_only=True))
    assert looks.look()["a"] is not first


def test_a_part_whose_mark_is_the_same_is_not_asked(tmp_path: Path) -> None:
    marks = [1]
    looks = Looks(tmp_path, lambda _: marks[0])
    for clock, mark, times in (
        (0, 1, 1),
        (STALE - 0.1, 1, 1),
        (STALE, 1, 2),
        (STALE, 2, 3),
        (0, 2, 4),
    ):
        looks.clock, marks[0] = clock, mark
        looks.look()
        assert looks.asked.count("a") == times, (clock, mark)


def test_a_part_that_fails_does_not_stop_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so in its place; the log says why, once until it is well again."""
    looks = Looks(tmp_path)
    first = looks.look()
    for _ in range(3):
        looks.texts["a"] = ValueError("a secret of the log")
        with caplog.at_level(logging.ERROR):
            broken = looks.look()
            assert looks.look()["a"].digest == broken["a"].digest
        assert 'id="part-a"' in broken["a"].html
        assert "can&#39;t be shown" in broken["a"].html
        assert "secret" not in broken["a"].html
        assert broken["b"] is first["b"]
        assert len(caplog.records) == 1
        caplog.clear()
        looks.texts["a"] = "one"
        assert looks.look()["a"].digest == first["a"].digest


def test_a_proxy_that_does_not_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    looks = Looks(tmp_path)
    looks.texts["a"] = BusyError("the proxy does not answer")
    assert "does not answer" in looks.look()["a"].html
    assert not caplog.records
