from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from neurolink_mitm.app.lifecycle import Lifecycle


@dataclass
class Part:
    """A component that writes down what it is told; or raises then."""

    name: str
    told: list[str]
    broken: bool = False

    async def start(self) -> None:
        self._tell("starts")

    async def stop(self) -> None:
        self._tell("stops")

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.name} {what}")
        if self.broken:
            raise RuntimeError("broken")


@dataclass
class Told:
    lines: list[str] = field(default_factory=list)

    def part(self, name: str, *, broken: bool = False) -> Part:
        return Part(name, self.lines, broken)


@pytest.fixture
def told() -> Told:
    return Told()


async def test_what_starts_first_stops_last(told: Told) -> None:
    lifecycle = Lifecycle([told.part("journal"), told.part("server")])
    await lifecycle.start()
    await lifecycle.stop()
    assert told.lines == ["journal starts", "server starts", "server stops", "journal stops"]


async def test_one_that_fails_keeps_none_of_the_others(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [told.part("journal"), told.part("middle", broken=True), told.part("server")]
    lifecycle = Lifecycle(parts)
    await lifecycle.start()
    await lifecycle.stop()
    assert told.lines[2:4] == ["server starts", "server stops"]
    assert told.lines[-1] == "journal stops"
    assert "Part can't start" in caplog.text
    assert "Part can't stop" in caplog.text


async def test_it_stops_once(told: Told) -> None:
    """By mitmproxy's `done`, and by whoever runs it, in case that never came."""
    lifecycle = Lifecycle([told.part("server")])
    await lifecycle.stop()
    await lifecycle.stop()
    assert told.lines == ["server stops"]
