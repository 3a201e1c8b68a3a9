from __future__ import annotations

import json
import re
from typing import Any

import promql_parser
import pytest

from neurolink_mitm.core.status.metrics import METRICS
from neurolink_mitm.telemetry.dashboard import STREAM, TABS, TITLE, Panel, dashboard

PANELS = [panel for panels in TABS.values() for panel in panels]
MADE: list[dict[str, Any]] = [panel for tab in dashboard()["tabs"] for panel in tab["panels"]]
COUNTED = [name for name, metric in METRICS.items() if not (metric.read or metric.otlp_only)]
metrics = pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if not panel.column], ids=lambda panel: panel.title
)


def test_it_has_a_tab_for_each_question() -> None:
    assert [tab["name"] for tab in dashboard()["tabs"]] == [
        "Traffic", "Failures", "Latency", "Accounts and routing", "Tokens, cache, cost", "Cluster", "Traces",
    ]  # fmt: skip
    assert dashboard()["title"] == TITLE


@metrics
def test_panels_show_metrics_that_there_are(panel: Panel) -> None:
    named = set(re.findall(r"proxy_\w+", panel.query))
    known = {f"{name}{'_bucket' if m.buckets else ''}" for name, m in METRICS.items()}
    assert named
    assert named <= known


@metrics
def test_panels_ask_in_promql(panel: Panel) -> None:
    promql_parser.parse(panel.query)


@metrics
def test_panels_group_by_labels_that_there_are(panel: Panel) -> None:
    grouped = {
        label.strip()
        for by in re.findall(r"by \(([^)]*)\)", panel.query)
        for label in by.split(",")
    }
    named = re.findall(r"proxy_\w+?(?=_bucket\b|\b)", panel.query)
    common = set.intersection(*(set(METRICS[name].labels) for name in named))
    assert grouped - {"le"} <= common
    assert set(re.findall(r"\{(\w+)\}", panel.legend)) <= grouped


def test_every_metric_is_shown() -> None:
    queries = " ".join(panel.query for panel in PANELS)
    own = set(COUNTED) - {"proxy_loop_lag_ms"}
    assert {name for name in own if name not in queries} == set()


def test_traces_are_asked_of_their_stream() -> None:
    queries = [panel.query for panel in PANELS if panel.column]
    assert queries
    assert all(f'FROM "{STREAM}"' in query for query in queries)


def test_no_panels_overlap() -> None:
    for tab in dashboard()["tabs"]:
        places = [(p["layout"]["x"], p["layout"]["y"]) for p in tab["panels"]]
        assert len(set(places)) == len(places)


def test_each_panel_has_its_own_number() -> None:
    assert len({panel["id"] for panel in MADE}) == len(MADE) == len(PANELS)


def test_it_is_json() -> None:
    assert json.loads(json.dumps(dashboard())) == dashboard()
