"""What tests marked `real` need of the machine beside Python and loopback.

`@pytest.mark.real("zsh")` names keys of `NEEDS`. Where one is missing the test is skipped, and the end of the run
names it. `python -m tests.needs` prints the Debian packages of what is missing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache

import pytest


@dataclass(frozen=True)
class Need:
    """Programs on the PATH, and the Debian packages that bring them."""

    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        return [program for program in self.programs if not shutil.which(program)]


NEEDS = {
    "aider": Need(
        ("git",), ("git",)
    ),  # and a Python 3.11 or 3.12, and PyPI; the test says where they are missing
    "bash": Need(("bash",), ("bash",)),
    "browser": Need(("chromium", "chromedriver"), ("chromium", "chromium-driver")),
    "curl": Need(("curl",), ("curl",)),
    "docker": Need(("docker",)),  # Debian's has no compose plugin
    "fish": Need(("fish",), ("fish",)),
    "haproxy": Need(("haproxy",), ("haproxy",)),
    "litellm": Need(),  # in the lock file; a process that imports it takes seconds to start
    "namespaces": Need(("unshare", "mount"), ("util-linux", "mount")),
    "npm": Need(("npm", "node"), ("npm", "nodejs")),
    "promtool": Need(("promtool",), ("prometheus",)),
    "redis": Need(("redis-server",), ("redis-server",)),
    "setpriv": Need(("setpriv",), ("util-linux",)),
    "systemd": Need(("systemctl", "systemd-analyze"), ("systemd",)),
    "zsh": Need(("zsh",), ("zsh",)),
}
TITLE = "real parts that could not run here"


@cache
def reason(name: str) -> str | None:
    """Return why tests that need `name` can't run, or None."""
    need = NEEDS[name]
    if not (missing := need.missing()):
        return None
    packages = f" (Debian: {' '.join(need.packages)})" if need.packages else ""
    return f"{' and '.join(missing)} not installed{packages}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("real"):
        for name in mark.args:
            if why := reason(name):
                pytest.skip(why)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name `make test-real` where its tests were left out; else each of them that was skipped, and why."""
    selection = config.getoption("markexpr")
    if selection == "not real":
        terminalreporter.section("real parts")
        terminalreporter.line(
            f"{', '.join(NEEDS)}: what needs one of these runs with make test-real"
        )
        return
    skipped = [r for r in terminalreporter.getreports("skipped") if "real" in r.keywords]
    tests: dict[str, list[str]] = {}
    for report in skipped:
        tests.setdefault(str(report.longrepr[2]).removeprefix("Skipped: "), []).append(
            report.nodeid
        )
    if tests:
        terminalreporter.section(TITLE, yellow=True)
    for why, names in sorted(tests.items()):
        terminalreporter.line(why)
        for name in sorted(names):
            terminalreporter.line(f"  {name}")
    if selection == "real" and not tests:
        terminalreporter.line("Nothing that make test-real selected was skipped.")


if __name__ == "__main__":
    print(
        *sorted({package for need in NEEDS.values() if need.missing() for package in need.packages})
    )
