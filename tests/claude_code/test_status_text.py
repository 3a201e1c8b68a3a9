from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from neurolink_mitm.claude_code import status_text as statusline
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.providers.destinations import entries
from neurolink_mitm.core.settings.values import Config, Fallback, ModelMapping, Routing
from neurolink_mitm.core.status import status
from neurolink_mitm.core.status.explain import preview_route
from tests.fakes import NOW, make_account, make_runtime

OPUS, SONNET = "claude-opus-4-6", "claude-sonnet-4-6"


def report(pool: Pool, **changes: Any) -> dict[str, Any]:
    """As the proxy itself makes it."""
    return status.report(make_runtime(pool=pool, **changes), NOW)


def line_of(found: dict[str, Any], model: str | None = None, session: str | None = None) -> str:
    return statusline.line(found, statusline.Session(model, session), NOW)


def pool_of(labels: str, **cooling: float) -> Pool:
    pool = Pool([make_account(label) for label in labels])
    for label, seconds in cooling.items():
        state = pool.account_state(f"anthropic:{label}")
        state.cooldowns["*"] = Cooldown(1, NOW, NOW + seconds, "rate limit (429)")
    return pool


def paused_and_cooling(label: str) -> Pool:
    pool = pool_of(label, **{label: 30})
    pool.update([make_account(label, paused=Pause(NOW + 9000))])
    return pool


def used(pool: Pool, label: str, five_hour: float, seven_day: float | None = None) -> Pool:
    used = {"5h": five_hour, "7d": seven_day}
    windows = {n: Window(u, "allowed") for n, u in used.items() if u is not None}
    quota = Quota(NOW, windows)
    pool.account_state(f"anthropic:{label}").quota = quota
    return pool


@pytest.mark.parametrize(
    ("pool", "line"),
    [
        (pool_of(""), "neurolink: no account"),
        (pool_of("ab"), "neurolink a"),
        (used(pool_of("ab"), "a", 0.423, 0.1), "neurolink a · 5h 42% · 7d 10%"),
        (used(pool_of("ab", a=200), "b", 0.7), "neurolink b · 5h 70% · cooling: a 4m"),
        (pool_of("abcdef", b=1, c=61, d=3600, e=59.6),
         "neurolink a · cooling: b 1s, c 2m, d 1h0m +1"),
        (pool_of("ab", a=9000, b=30), "neurolink: all accounts cooling, b back in 30s"),
        (Pool([make_account("a", disabled="needs login")]),
         "neurolink: no account serves: neurolink proxy status"),
        (Pool([make_account("a", expires_at=NOW - 1), make_account("b")]), "neurolink b"),
        (Pool([make_account("a", paused=Pause(NOW + 9)), make_account("b")]), "neurolink b"),
        (paused_and_cooling("a"), "neurolink: no account serves: neurolink proxy status"),
    ],
    ids=["none", "new", "windows", "one cools", "many cool", "all cool", "needs login", "expired", "paused",
         "paused and cooling"],
)  # fmt: skip
def test_a_line(pool: Pool, line: str) -> None:
    assert line_of(report(pool), None) == line


def test_the_account_is_the_one_that_was_used_last() -> None:
    pool = pool_of("ab")
    pool.account_state("anthropic:a").tally.last_attempt_at = NOW - 60
    pool.account_state("anthropic:b").tally.last_attempt_at = NOW - 1
    assert line_of(report(pool), None) == "neurolink b"


@pytest.mark.parametrize(
    ("model", "line"),
    [(OPUS, "neurolink b · cooling: a 30s"), (SONNET, "neurolink a")],
)
def test_other_models_cooldowns_do_not_count(model: str, line: str) -> None:
    pool = pool_of("ab")
    pool.account_state("anthropic:a").cooldowns["claude-opus-*"] = Cooldown(1, NOW, NOW + 30, "x")
    assert line_of(report(pool), model) == line


WINDOW = {
    "used": 0.42,
    "status": "allowed",
    "reset": "2025-10-09T10:58:20.000Z",
    "runsOutAt": None,
    "models": ["*"],
}
WEEK = WINDOW | {"used": 0.3, "reset": "2025-10-14T15:53:20Z"}
OUT = "2025-10-09T10:00:00.000Z"
RESETS = "resets 16:28 (in 2h5m)"


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("windows", "text"),
    [
        ({"5h": WINDOW}, f"5h 42% {RESETS}"),
        ({"5h": WINDOW | {"runsOutAt": OUT}}, f"5h 42% out 15:30 {RESETS}"),
        ({"5h": WINDOW | {"runsOutAt": "2025-10-09T08:53:19.000Z"}}, f"5h 42% {RESETS}"),
        ({"5h": WINDOW, "7d": WEEK}, f"5h 42% {RESETS} · 7d 30%"),
        ({"5h": WINDOW, "7d": WEEK | {"used": 0.9}}, "5h 42% · 7d 90% resets Tue 21:23 (in 5d7h)"),
        ({"5h": WINDOW | {"runsOutAt": OUT}, "7d": WEEK | {"used": 0.9}}, f"5h 42% out 15:30 {RESETS} · 7d 90%"),
        ({"5h": WINDOW | {"runsOutAt": OUT}, "7d": WEEK | {"used": 1}}, "5h 42% · 7d 100% resets Tue 21:23 (in 5d7h)"),
        ({"7d": WINDOW | {"used": None, "status": "rejected"}}, f"7d 100% {RESETS}"),
        ({"7d": WINDOW | {"used": 0.9, "reset": None}}, "7d 90%"),
        ({"7d": WINDOW | {"used": None}}, ""),
        ({"7d_opus": WINDOW | {"used": 0.6, "models": ["claude-opus-*"]}, "5h": WINDOW},
         f"5h 42% · 7d_opus 60% {RESETS}"),
        ({"7d_opus": WINDOW | {"models": ["claude-opus-*"]}}, ""),
        ({"7d_sonnet": WINDOW | {"used": 0.9, "models": ["claude-sonnet-*"]}}, ""),
    ],
    ids=["half", "forecast", "a forecast that is over", "two", "the one that is used most", "the one that is out first",
         "the one that is used up", "rejected", "no reset", "unknown", "of the model", "hardly used",
         "of another model"],
)  # fmt: skip
def test_windows_say_what_matters(windows: dict[str, Any], text: str) -> None:
    found = report(pool_of("a"))
    found["stats"]["accounts"][0]["quota"] = {"windows": windows}
    assert line_of(found, OPUS) == " · ".join(filter(None, ("neurolink a", text)))


@pytest.mark.usefixtures("in_kolkata")
def test_when_the_first_of_all_is_back() -> None:
    pool = pool_of("ab", a=500, b=30)
    b = pool.account_state("anthropic:b").cooldowns
    b["*"] = replace(b["*"], resets_at=NOW + 2400)
    assert line_of(report(pool)) == "neurolink: all accounts cooling, a back 14:31 (in 9m)"
    pool.account_state("anthropic:a").cooldowns["*"] = replace(b["*"], resets_at=NOW + 7200)
    assert line_of(report(pool)) == "neurolink: all accounts cooling, b back 15:03 (in 40m)"


NEVER, LATER, SOON = ({"dryFrom": at, "dryTo": None} for at in (None, "2025-10-09T12:00:00Z", OUT))
PAST = NEVER | {"dryFrom": "2025-10-09T08:00:00Z"}


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("forecast", "labels", "note"),
    [
        (None, "ab", ""),
        (NEVER, "ab", ""),
        (LATER, "ab", " · pool dry 17:30"),
        (LATER, "a", ""),
        (PAST, "ab", ""),
        (LATER | {"models": {"*opus*": SOON}}, "ab", " · pool dry 15:30"),
        (NEVER | {"models": {"*sonnet*": SOON}}, "ab", ""),
    ],
    ids=["older proxy", "never", "later", "one account", "now", "of the model", "of another model"],
)
def test_when_the_pool_is_dry(forecast: dict[str, Any] | None, labels: str, note: str) -> None:
    found = report(pool_of(labels))
    found["stats"]["forecast"] = forecast
    assert line_of(found, OPUS) == f"neurolink a{note}"


REQUEST = {"session": "s1", "account": None, "state": "held"}


@pytest.mark.parametrize(
    ("requests", "session", "line"),
    [
        ([REQUEST], "s1", "neurolink a · this session is held"),
        ([REQUEST], "s2", "neurolink a · 1 held"),
        ([REQUEST], None, "neurolink a · 1 held"),
        ([REQUEST | {"state": "streaming", "account": "b"}], "s1", "neurolink b"),
        ([REQUEST | {"state": "streaming", "account": "b"}], "s2", "neurolink a"),
    ],
    ids=["its own", "another's", "unknown", "its account", "another's account"],
)
def test_the_session(requests: list[dict[str, Any]], session: str | None, line: str) -> None:
    held = sum(each["state"] == "held" for each in requests)
    found = report(pool_of("ab")) | {"requests": requests, "requestsHeld": held}
    assert line_of(found, session=session) == line


def test_the_countdown_is_the_proxys() -> None:
    """Its clock counts, as the moment is its own."""
    found = report(pool_of("a", a=30))
    assert statusline.line(found, statusline.Session(), NOW + 3600).endswith("a back in 30s")


ROUTING = Routing(
    model_mappings=(ModelMapping("gpt-*", "gpt-x", "openai"),),
    fallback_chain=(Fallback("openai", "gpt-x"),),
)


def explained(pool: Pool, model: str | None) -> dict[str, Any]:
    pool.update(pool.accounts, entries(Config(routing=ROUTING), {"OPENAI_API_KEY": "k"}))
    asked = Requirements(claude_code=True, model=model)
    return report(pool, config=Config(routing=ROUTING)) | preview_route(pool, ROUTING, asked, NOW)


@pytest.mark.parametrize(
    ("pool", "model", "line"),
    [
        (pool_of("ab", a=30), OPUS, "neurolink b · cooling: a 30s"),
        (pool_of("ab", a=90, b=30), OPUS, "neurolink openai/gpt-x · cooling: a 2m, b 30s"),
        (pool_of("ab", a=90, b=30), None, "neurolink openai/gpt-x · cooling: a 2m, b 30s"),
        (pool_of("ab"), "gpt-9", "neurolink openai/gpt-x"),
        (pool_of("ab"), "gemma", "neurolink: gemma is not served here"),
        (pool_of(""), OPUS, "neurolink openai/gpt-x"),
    ],
    ids=["an account", "the chain", "any model", "mapped", "unknown", "no account"],
)
def test_who_serves_this_model(pool: Pool, model: str | None, line: str) -> None:
    assert line_of(explained(pool, model), model) == line


def test_an_account_that_excludes_the_model_does_not_serve_it() -> None:
    pool = Pool([make_account("a", excluded_models=("claude-opus-*",)), make_account("b")])
    assert line_of(explained(pool, OPUS), OPUS) == "neurolink b"


COUNTING = {"count_tokens:*": Cooldown(1, NOW, NOW + 90, "x")}
REFUSED = {"count_tokens:*": Cooldown(0, NOW, NOW + 90, "x", whole=True)}


@pytest.mark.parametrize("model", [OPUS, None])
@pytest.mark.parametrize(
    ("scopes", "cooling"), [(COUNTING, ""), (REFUSED, " · cooling: a 2m")], ids=["limit", "refused"]
)
def test_the_limits_of_counting_tokens_are_no_matter_of_the_line(
    model: str | None, scopes: dict[str, Cooldown], cooling: str
) -> None:
    pool = pool_of("ab")
    pool.account_state("anthropic:a").cooldowns |= scopes
    name = "b" if cooling else "a"
    assert line_of(report(pool), model) == f"neurolink {name}{cooling}"
    written = msgspec.to_builtins({"anthropic:a": PersistedState("x", scopes)})
    assert statusline.saved_line({}, written, model, NOW) == f"neurolink (slow){cooling}"


def test_errors_of_the_configuration_are_told() -> None:
    found = report(pool_of("a"), config_errors=("odd",))
    assert line_of(found, None) == "neurolink a · configuration has errors"


def test_passthrough_has_no_account() -> None:
    found = report(pool_of("a"), passthrough=True)
    assert line_of(found, None) == "neurolink passthrough"


def test_what_was_written_down_last() -> None:
    """In the form of the files: see adapters/persisted_state.py."""
    quotas = msgspec.to_builtins(
        {
            "anthropic:a": Quota(NOW - 9, {"5h": Window(0.2, "allowed", NOW + 60)}),
            "anthropic:b": Quota(NOW - 1, {"5h": Window(0.9, "allowed", NOW + 60)}),
            "anthropic:c": Quota(NOW - 2, {"5h": Window(0.5, "allowed", NOW - 1)}),
        }
    )
    cool = {"*": Cooldown(1, NOW, NOW + 90, "x")}
    over = {"*": Cooldown(1, NOW - 90, NOW - 30, "x")}
    cooldowns = msgspec.to_builtins(
        {"anthropic:b": PersistedState("x", cool), "anthropic:a": PersistedState("x", over)}
    )
    told = statusline.saved_line(quotas, cooldowns, None, NOW)
    assert told == "neurolink (slow) c · cooling: b 2m"
    del quotas["anthropic:c"]
    told = statusline.saved_line(quotas, cooldowns, None, NOW)
    assert told == "neurolink (slow) a · 5h 20% · cooling: b 2m"


@pytest.mark.parametrize(
    ("cooldown", "left"),
    [
        (Cooldown(1, NOW, NOW + 90, "x", resets_at=NOW + 7500), "2h5m"),
        (Cooldown(1, NOW, NOW + 90, "x", resets_at=NOW + 30), "2m"),
        (Cooldown(1, NOW, NOW + 90, "x", resets_at=NOW + 1e9), "2m"),
        (Cooldown(1, NOW, NOW + 1e9, "x"), "10m"),
    ],
    ids=["to the reset", "past the reset", "a reset too late to be true", "a cooldown that is"],
)
def test_an_account_is_back_when_its_window_is_reset(cooldown: Cooldown, left: str) -> None:
    written = msgspec.to_builtins({"anthropic:a": PersistedState("x", {"*": cooldown})})
    line = statusline.saved_line({}, written, None, NOW)
    assert line == f"neurolink (slow) · cooling: a {left}"


def test_nothing_was_written_down() -> None:
    assert statusline.saved_line({}, {}, None, NOW) == "neurolink (slow)"


def test_models_of_other_providers_are_named_whole() -> None:
    cooldowns = {"ollama/qwen3:8b": {"scopes": {"*": {"until": NOW + 40}}}}
    told = statusline.saved_line({}, cooldowns, None, NOW)
    assert told == "neurolink (slow) · cooling: ollama/qwen3:8b 40s"


@pytest.mark.parametrize(
    ("used", "shown"), [(0.42, "42%"), (1e9, "9999%"), (math.inf, "9999%"), (-1e308, "0%")]
)
def test_a_share_has_four_digits_at_most(used: float, shown: str) -> None:
    assert statusline.share(used) == shown
