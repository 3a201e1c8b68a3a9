from __future__ import annotations

import json
import logging
import math
import runpy
import stat
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from neurolink_mitm.adapters.cost import (
    MOST_CLIENTS,
    MOST_USD,
    WRITE_INTERVAL,
    Spending,
    read_day,
    shipped_prices,
)
from neurolink_mitm.core.cost.budget import Budget, ClientUse
from neurolink_mitm.core.logs.timestamps import next_midnight
from neurolink_mitm.core.providers.models import CLAUDE
from tests.fakes import NOW
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_litellm_that_is_locked() -> None:
    text = (ROOT / "neurolink_mitm" / "core" / "cost" / "prices.json").read_text()
    made = runpy.run_path(str(ROOT / "tools" / "prices"))["table"](json.loads(text)["date"])
    assert made == text, "run: make prices"


@pytest.mark.parametrize("model", [model.id for model in CLAUDE])
def test_every_listed_claude_model_has_a_price(model: str) -> None:
    price = shipped_prices().of("anthropic", model)
    assert price is not None
    assert 0 < price.cache_read < price.input < price.cache_write < price.output


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("google-ai", "gemini-2.5-flash"),
        ("openai", "gpt-4o-mini"),
        ("openai", "text-embedding-3-small"),
        ("vertex", "text-embedding-005"),
        ("groq", "llama-3.3-70b-versatile"),
    ],
)
def test_other_providers_are_listed_by_our_names(provider: str, model: str) -> None:
    assert shipped_prices().of(provider, model) is not None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spend.json"


@pytest.fixture
def budget() -> Budget:
    return Budget(cap=20.0)


@pytest.fixture
def spending(path: Path, budget: Budget) -> Iterator[Spending]:
    made = Spending(path, budget)
    yield made
    made.close()


def test_what_is_spent_counts_at_once(spending: Spending, budget: Budget) -> None:
    spending.add(1.5, NOW)
    spending.add(2.0, NOW + 1)
    assert budget.spent_today(NOW + 2) == pytest.approx(3.5)


def test_it_is_kept_across_restarts(spending: Spending, path: Path) -> None:
    spending.add(1.5, NOW)
    spending.close()
    again = Budget(cap=20.0)
    Spending(path, again).close()
    assert again.spent_today(NOW + 1) == pytest.approx(1.5)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_kill_can_lose_no_more_than_the_last_seconds(spending: Spending, path: Path) -> None:
    """Nobody closes it: what came between two writes is written all the same."""
    spending.add(1.5, NOW)
    wait_until(lambda: read_day(path).usd == pytest.approx(1.5), "the first is written")
    spending.add(0.25, NOW)
    wait_until(
        lambda: read_day(path).usd == pytest.approx(1.75), "the second is", WRITE_INTERVAL + 2
    )


def test_a_day_that_was_written_under_a_wrong_clock_ends_tonight(path: Path) -> None:
    """18 days ahead: what was spent counts for today, and the cap holds nobody off for weeks."""
    ahead = next_midnight(NOW + 18 * 86_400)
    path.write_text(json.dumps({"usd": 19.0, "dayEndsAt": ahead}))
    budget = Budget(cap=20.0)
    spending = Spending(path, budget, NOW)
    spending.add(0.5, NOW)
    spending.close()
    assert budget.spent_today(NOW) == pytest.approx(19.5)
    assert budget.day_ends_at == next_midnight(NOW)
    known = read_day(path)
    assert (known.usd, known.day_ends_at) == (pytest.approx(19.5), next_midnight(NOW))


def test_midnight_begins_another_day(spending: Spending, budget: Budget, path: Path) -> None:
    spending.add(1.5, NOW)
    tomorrow = next_midnight(NOW)
    assert budget.spent_today(tomorrow) == 0.0
    spending.add(0.25, tomorrow)
    spending.close()
    assert budget.spent_today(tomorrow) == pytest.approx(0.25)
    assert read_day(path).usd == pytest.approx(0.25)
    assert read_day(path).day_ends_at == next_midnight(tomorrow)


def test_two_proxies_of_one_home_count_together(path: Path) -> None:
    budgets = Budget(cap=20.0), Budget(cap=20.0)
    both = [Spending(path, budget) for budget in budgets]
    threads = [
        threading.Thread(target=lambda s=each: [s.add(0.125, NOW) for _ in range(8)])
        for each in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for each in both:
        each.close()
    assert read_day(path).usd == pytest.approx(2.0)
    assert max(budget.spent_today(NOW) for budget in budgets) == pytest.approx(2.0)


def test_what_can_not_be_written_still_counts_and_is_reported_once(
    tmp_path: Path, budget: Budget, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is written as soon as that is possible."""
    place = tmp_path / "home"
    place.mkdir()
    spending = Spending(place / "spend.json", budget)
    place.rmdir()
    place.write_text("no directory")
    with caplog.at_level(logging.ERROR):
        spending.add(1.0, NOW)
        wait_until(lambda: bool(caplog.records), "it is reported")
        spending.add(1.0, NOW)
    assert budget.spent_today(NOW) == pytest.approx(2.0)
    place.unlink()
    place.mkdir()
    wait_until(lambda: read_day(place / "spend.json").usd == 2.0, "it is written")
    spending.close()
    said = [record.message.split(":")[0] for record in caplog.records]
    assert said == ["spend.json can't be written"]


@pytest.mark.parametrize(
    "text",
    ["{nonsense", '{"usd":1e308,"dayEndsAt":2e9}', '{"usd":-5}',
     '{"clients":{"bob":{"totalUsd":-1}}}', f'{{"clients":{{"bob":{{"requests":{10**400}}}}}}}'],
    ids=["torn", "endless", "negative", "of-a-client", "requests"],
)  # fmt: skip
def test_a_broken_file_is_set_aside(path: Path, budget: Budget, text: str) -> None:
    path.write_text(text)
    Spending(path, budget).close()
    assert budget.spent_today(NOW) == 0.0
    assert [found.read_text() for found in path.parent.glob("*.corrupt-*")] == [text]


def test_the_file_says_when_its_day_ends(spending: Spending, path: Path) -> None:
    spending.add(1.5, NOW)
    spending.close()
    assert json.loads(path.read_text()) == {"usd": 1.5, "dayEndsAt": next_midnight(NOW)}


def test_midnight_is_the_users() -> None:
    midnight = datetime.fromtimestamp(next_midnight(NOW))
    assert (midnight.hour, midnight.minute, midnight.second) == (0, 0, 0)
    assert 0 < next_midnight(NOW) - NOW <= 25 * 3600


# --- what each client has used


def test_the_use_of_clients_outlives_the_logs_and_the_day(path: Path) -> None:
    spending = Spending(path, Budget())
    spending.add(1.5, NOW, "bob", 1.5)
    spending.add(0.0, NOW + 1, "bob", 0.5)  # on a subscription
    spending.add(0.0, NOW + 2, "amy", 0.0)
    spending.close()
    tomorrow = next_midnight(NOW) + 5
    budget = Budget()
    again = Spending(path, budget, tomorrow)
    assert (budget.used_today("bob", NOW + 3), budget.used_today("bob", tomorrow)) == (2.0, 0.0)
    again.add(0.0, tomorrow, "bob", 0.25)
    again.close()
    assert budget.used_today("bob", tomorrow) == 0.25
    assert budget.used_today("nobody", tomorrow) == 0.0
    assert read_day(path).clients == {
        "bob": ClientUse(0.25, 2.25, 3, tomorrow), "amy": ClientUse(0.0, 0.0, 1, NOW + 2),
    }  # fmt: skip


def test_two_proxies_count_a_client_together(path: Path) -> None:
    budgets = Budget(), Budget()
    both = [Spending(path, budget) for budget in budgets]
    for turn in range(8):
        both[turn % 2].add(0.0, NOW, "bob", 0.125)
    for each in both:
        each.close()
    assert read_day(path).clients == {"bob": ClientUse(1.0, 1.0, 8, NOW)}


def test_a_client_keeps_its_use_of_today_when_the_clock_was_ahead(path: Path) -> None:
    ahead = NOW + 18 * 86_400
    first = Spending(path, Budget())
    first.add(0.0, ahead, "bob", 3.0)
    first.close()
    budget = Budget()
    spending = Spending(path, budget, NOW)
    spending.add(0.0, NOW, "bob", 1.0)
    spending.close()
    assert budget.used_today("bob", NOW) == 4.0
    use = read_day(path).clients["bob"]
    assert (use.today_usd, use.total_usd, use.requests) == (4.0, 4.0, 2)


def test_the_clients_that_came_last_are_kept(path: Path) -> None:
    spending = Spending(path, Budget())
    for number in range(MOST_CLIENTS + 3):
        spending.add(0.0, NOW + number, f"c{number}", 1.0)
    spending.close()
    kept = read_day(path).clients
    assert len(kept) == MOST_CLIENTS
    assert "c2" not in kept


def test_no_price_makes_the_file_unreadable(path: Path) -> None:
    spending = Spending(path, Budget())
    spending.add(math.inf, NOW, "bob", math.inf)
    spending.close()
    assert read_day(path).clients["bob"].today_usd == MOST_USD


def test_in_the_sandbox_only_clients_are_counted(path: Path) -> None:
    first = Spending(path, Budget())
    first.add(3.0, NOW)
    first.close()
    budget = Budget()
    spending = Spending(path, budget, NOW, paid=False)
    spending.add(1.0, NOW, "bob", 2.0)
    spending.close()
    assert (budget.spent_today(NOW), budget.used_today("bob", NOW)) == (0.0, 2.0)
    assert (read_day(path).usd, read_day(path).clients["bob"].total_usd) == (3.0, 2.0)
