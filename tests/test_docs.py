"""Everything a user can say or see is documented, and nothing that is not there."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.exchange import Hold, Kind
from neurolink_mitm.core.logs.audit import AuditRow
from neurolink_mitm.core.logs.rows import AttemptRow, DebugRow, RequestRow
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Classic, Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.settings.values import Routing
from neurolink_mitm.core.status import explain, status
from neurolink_mitm.core.status.event_loop import Lag, Stall
from neurolink_mitm.core.status.metrics import METRICS
from tests.fakes import (
    NOW,
    FakeCluster,
    FakeDashboard,
    FakeNotices,
    FakeTelemetry,
    FakeTranslator,
    make_account,
    make_attempt,
    make_exchange,
    make_other,
    make_runtime,
)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
SOURCES = sorted((ROOT / "neurolink_mitm").rglob("*.py"))


def section(page: str, heading: str) -> str:
    """From a heading to the next of its kind."""
    _, found, rest = (DOCS / page).read_text().partition(f"\n## {heading}")
    assert found, f"docs/{page} has no section {heading}"
    return rest.partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """What stands in the first column of its tables, without their titles; several may share a row."""
    tables = re.findall(r"^\|---.*\n((?:\|.*\n?)+)", text, re.MULTILINE)
    rows = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return [cell.strip().strip("`") for row in rows for cell in row.split(",")]


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("proxy-YYYY-MM-DD.jsonl", RequestRow),
        ("proxy-attempts-YYYY-MM-DD.jsonl", AttemptRow),
        ("proxy-debug-YYYY-MM-DD.jsonl", DebugRow),
        ("audit-YYYY-MM-DD.jsonl", AuditRow),
    ],
    ids=["requests", "attempts", "debug", "audit"],
)
def test_log_fields(family: str, kind: type[msgspec.Struct]) -> None:
    documented = first_cells(section("logs.md", family))
    assert sorted(documented) == sorted(kind.__struct_fields__)


def a_full_report() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What /status says of one account of which everything is known, and what ?explain adds."""
    pool = Pool([make_account("work", "sk-ant-oat01-x")])
    state = pool.account_state("anthropic:work")
    window = Window(0.5, "allowed", NOW + 60)
    classic = {"requests": Classic(10, 5, NOW + 60)}
    state.quota = Quota(NOW, {"5h": window, "7d": window, "7d_oi": window}, classic=classic)
    state.cooldowns["*"] = Cooldown(1, NOW, NOW + 60, "rate limit (429)")
    pool.update(pool.accounts, [make_other()])
    stalled = Lag(last_stall=Stall(NOW, 0.3), last_pause=Stall(NOW, 12))
    runtime = make_runtime(
        pool=pool,
        translator=FakeTranslator(),
        telemetry=FakeTelemetry(),
        notices=FakeNotices(),
        dashboard=FakeDashboard(),
        cluster=FakeCluster(),
        lag=stalled,
    )
    exchange = make_exchange(kind=Kind.MESSAGES, attempts=[make_attempt()])
    runtime.in_flight.add(exchange)
    step = Hold(NOW + 60, "", recovery=True)
    runtime.waiting.enter(exchange, step, NOW, 0.0, lambda: None)
    return status.report(runtime, NOW), status.explain(pool, Requirements(claude_code=True), NOW)


def paths(value: object, path: str = "") -> Iterator[str]:
    """The ways to everything in a report; names of limits, windows and models are a `*`."""
    if isinstance(value, dict):
        named_by_data = path.endswith(("cooldowns", "limits", "windows", "forecast.models"))
        for key, below in value.items():
            step = "*" if named_by_data else key
            yield from paths(below, f"{path}.{step}" if path else step)
    else:
        yield path


def below(keys: Iterable[str]) -> set[str]:
    """Without those that only lead to others."""
    found = set(keys)
    return {key for key in found if not any(other.startswith(f"{key}.") for other in found)}


def test_status_keys() -> None:
    report, _ = a_full_report()
    accounts, others = report["stats"].pop("accounts"), report.pop("fallbackChain")
    here, replicas_here, others_here, each, requests_here, attempts_here, held_here, added = (
        re.split(r"\n(?:Each of|`neurolink proxy status)", section("status.md", "/status\n"))
    )
    assert below(first_cells(here)) - {"fallbackChain"} == set(paths(report))
    assert set(first_cells(replicas_here)) == set(report["cluster"]["replicas"][0])
    assert set(first_cells(others_here)) == set(paths(others[0]))
    assert below(first_cells(each)) == set(paths(accounts[0]))
    assert set(first_cells(requests_here)) == set(report["requests"][0])
    assert set(first_cells(attempts_here)) == set(report["requests"][0]["attempts"][0])
    assert set(first_cells(held_here)) == set(report["held"][0])
    of_its_own = [key for key in first_cells(added) if "." not in key]
    assert of_its_own == ["running", "url", "startTime"]  # what tests/cli sees of it


def test_metrics_are_documented() -> None:
    """With their labels; those that only a collector gets beside the rest of what it gets."""
    rows = [
        (name.strip("` "), label.strip())
        for page, title in (
            ("observability.md", "Prometheus and Grafana"),
            ("telemetry.md", "Metrics"),
        )
        for names, labels in re.findall(
            r"^\| (`\S+`(?:, `\S+`)*) \|([^|]*)\|", section(page, title), re.M
        )
        for name in names.split(",")
        for label in labels.split(",")
    ]
    plain = {(name, label) for name, label in rows if not name.startswith("gen_ai.")}
    assert plain == {
        (name, label)
        for name, metric in METRICS.items()
        if not metric.otlp_only
        for label in metric.labels or ("",)
    }
    assert {name for name, _ in rows} == METRICS.keys()


def test_explain_keys() -> None:
    _, [explained] = a_full_report()
    assert set(first_cells(section("status.md", "/status?explain=1\n"))) == set(paths(explained))


def test_route_keys() -> None:
    pool = Pool([make_account()])
    told: Any = explain.preview_route(
        pool, Routing(), Requirements(claude_code=True, model="claude-x"), NOW
    )
    documented = first_cells(section("status.md", "The route in /status?explain=1"))
    assert set(documented) == set(paths(told["route"]))


def test_the_reference_of_commands_is_fresh() -> None:
    fresh = runpy.run_path(str(ROOT / "tools" / "cli-docs"))["page"]()
    assert (DOCS / "cli.md").read_text() == fresh, "run: .venv/bin/python tools/cli-docs"


def test_variables_of_the_environment() -> None:
    """Those that the code asks for, by their names in quotes."""
    code = "".join(path.read_text() for path in SOURCES)
    asked = set(re.findall(r'"((?:NEUROLINK|CLAUDE|ANTHROPIC)_[A-Z_]+)"', code))
    told = "".join(path.read_text() for path in PAGES)
    assert {name for name in asked if f"`{name}`" not in told} == set()
    assert "NEUROLINK_HOME" in asked


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_can_be_found() -> None:
    """From the README, directly."""
    readme = (ROOT / "README.md").read_text()
    assert [p.name for p in DOCS.glob("*.md") if f"docs/{p.name}" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_paths_of_the_source_exist(page: Path) -> None:
    """In backticks, as `core/failover/errors.py`; from the checkout's top or from the package's."""
    named = re.findall(r"`([a-z\d_./-]+/[\w.-]+\.(?:py|md|yaml|lock))`", page.read_text())
    places = (ROOT, ROOT / "neurolink_mitm")
    paths = [name for name in named if "NAME" not in name]
    assert [name for name in paths if not any((at / name).exists() for at in places)] == []


def test_what_the_doctor_finds_is_explained() -> None:
    """Each finding by its name, and no name that is not found."""
    source = ROOT / "neurolink_mitm"
    code = "".join(
        (source / f"{name}.py").read_text()
        for name in (
            "doctor/diagnostics",
            "doctor/cluster_state",
            "doctor/request_path",
            "doctor/stale_state",
            "core/status/event_loop",
        )
    )
    found = set(re.findall(r'\b(?:ok|warn|fail)\(\s*"([a-z-]+)"', code))
    assert set(first_cells(section("troubleshooting.md", "What the doctor finds"))) == found
    assert len(found) > 50
