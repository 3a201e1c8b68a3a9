from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.families import (
    MAX_FAMILIES,
    Evidence,
    counts_for,
    family_of,
    learn,
    models_of,
)
from neurolink_mitm.core.pool.limit_headers import UNIFIED
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import MAX_WINDOWS, Window
from tests.core.pool import recorded_windows as recorded
from tests.fakes import NOW, make_account

A, B = "anthropic:a", "anthropic:b"
OPUS, SONNET, HAIKU, FABLE = (f"claude-{family}-5-1" for family in ("opus", "sonnet", "haiku", "fable"))  # fmt: skip
MODELS = (OPUS, SONNET, HAIKU, FABLE)


def asked(model: str) -> Requirements:
    return Requirements(claude_code=True, model=model)


def answer(
    pool: Pool, key: str, model: str, headers: str, status: int = 200, now: float = NOW
) -> None:
    fields = recorded.fields(headers)
    pool.update_quota(key, fields, now, asked=asked(model), status=status)
    if status == 429:
        failure = Failure(FailureStage.STATUS, 429, "rate_limit_error", "", fields)
        pool.failed(key, asked(model), failure, sent_at=now, now=now)


def counting(pool: Pool, model: str, now: float = NOW, key: str = A) -> set[str]:
    quota = pool.account_state(key).quota
    assert quota is not None
    return set(quota.counting(model, now))


def pool_of(labels: str = "a", strategy: str = "quota-aware") -> Pool:
    return Pool([make_account(label) for label in labels], strategy)


def window(name: str, used: float = 0.4, status: str = "allowed") -> str:
    return f"{UNIFIED}{name}-utilization: {used}\n{UNIFIED}{name}-status: {status}\n"


COMMON = window("5h", 0.1) + window("7d", 0.1)
REFUSED = f"{UNIFIED}status: rejected\n{COMMON}" + window("7d_new", 1.0, "rejected")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-6", "opus"),
        ("claude-3-5-haiku-20241022", "haiku"),
        ("claude-3.7-sonnet", "sonnet"),
        ("anthropic/claude-fable-5[1m]", "fable"),
        ("gpt-4o", ""),
        ("claude-", ""),
        (f"claude-{'x' * 21}", ""),
        ("claude-\x1b[31m", ""),
        (None, ""),
    ],
    ids=["now", "once", "dots", "variant", "other", "nameless", "long", "escape", "none"],
)
def test_family_of_a_model(model: str | None, family: str) -> None:
    assert family_of(model) == family


# --- The table


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("5h", MODELS),
        ("7d", MODELS),
        ("30d", MODELS),
        ("7d_opus", (OPUS,)),
        ("7d_sonnet", (SONNET,)),
        ("7d_haiku", (HAIKU,)),
        ("7d_oi", (FABLE,)),
        ("7d_omelette", ()),
        ("7d_unheard_of", ()),
    ],
)
def test_what_a_name_tells(name: str, models: tuple[str, ...]) -> None:
    assert tuple(m for m in MODELS if counts_for(name, family_of(m), {})) == models
    families = sorted(f"*{family_of(model)}*" for model in models)
    assert models_of(name, {}) == (["*"] if models == MODELS else families)


def test_windows_that_other_models_name_too_stay_those_of_their_family() -> None:
    pool = pool_of()
    for model in MODELS:
        answer(pool, A, model, recorded.EVERY_WEEK, now=recorded.WEEK_AT)
    common = {"5h", "7d"}
    assert counting(pool, SONNET, recorded.WEEK_AT) == common | {"7d_sonnet"}
    assert counting(pool, OPUS, recorded.WEEK_AT) == common | {"7d_opus"}
    assert counting(pool, HAIKU, recorded.WEEK_AT) == common


def test_a_window_that_only_fable_is_told_of() -> None:
    pool = pool_of()
    answer(pool, A, FABLE, recorded.FABLE, now=recorded.SERVED_AT)
    answer(pool, A, HAIKU, recorded.HAIKU, now=recorded.SERVED_AT)
    assert counting(pool, FABLE, recorded.SERVED_AT) == {"5h", "7d", "7d_oi"}
    assert counting(pool, HAIKU, recorded.SERVED_AT) == {"5h", "7d"}


def test_a_refusal_of_one_family_leaves_the_others() -> None:
    pool, now = pool_of("ab"), recorded.REFUSED_AT
    answer(pool, A, FABLE, recorded.FABLE_REFUSED, 429, now)
    assert pool.ineligible(asked("claude-fable-6"), now)[A].until == 1785736800
    assert pool.ineligible(asked(OPUS), now) == {}
    assert list(pool.recoveries(asked(FABLE), now)) == [A]
    week = Window(
        0.94, reset=1785736800.0
    )  # as far as the other account's, so that the pool's order decides
    pool.take_quota(B, Quota(now, {"7d": week, "5h": Window(0.0, reset=1785685200.0)}))
    assert pool.choose(asked(OPUS), now).account == pool.accounts[0]
    assert pool.choose(asked(FABLE), now).account == pool.accounts[1]


# --- Learning


def test_an_unknown_window_counts_for_those_whose_responses_name_it() -> None:
    pool = pool_of()
    answer(pool, A, OPUS, COMMON + window("7d_new"))
    answer(pool, A, SONNET, COMMON)
    assert "7d_new" in counting(pool, OPUS)
    assert "7d_new" not in counting(pool, SONNET)
    assert "7d_new" not in counting(pool, HAIKU)
    answer(pool, A, OPUS, COMMON)
    assert "7d_new" not in counting(pool, OPUS)


def test_a_window_that_is_used_up_does_not_count_for_who_is_served() -> None:
    pool = pool_of()
    for model in (OPUS, SONNET):
        answer(pool, A, model, COMMON + window("7d_new"))
    answer(pool, A, SONNET, COMMON + window("7d_new", 1.0, "rejected"))
    answer(pool, A, OPUS, REFUSED, 429)
    answer(pool, A, SONNET, COMMON + window("7d_new"))
    assert "7d_new" in counting(pool, OPUS)
    assert "7d_new" not in counting(pool, SONNET)
    answer(pool, A, SONNET, REFUSED, 429)
    assert "7d_new" in counting(pool, SONNET)


def test_the_table_is_unlearned_by_contrary_evidence() -> None:
    pool = pool_of()
    answer(pool, A, OPUS, recorded.FABLE_REFUSED, 429, recorded.REFUSED_AT)
    assert "7d_oi" in counting(pool, OPUS, recorded.REFUSED_AT)
    served = recorded.FABLE_REFUSED.replace(f"{UNIFIED}status: rejected", f"{UNIFIED}status: allowed")  # fmt: skip
    answer(pool, A, FABLE, served, 200, recorded.REFUSED_AT)
    assert "7d_oi" not in counting(pool, FABLE, recorded.REFUSED_AT)


@pytest.mark.parametrize(
    "paid",
    [
        f"{UNIFIED}overage-in-use: true",
        f"{UNIFIED}representative-claim: overage",
        f"{UNIFIED}status: rejected",
    ],
    ids=["in-use", "claim", "status"],
)
def test_what_is_paid_beside_the_plan_shows_nothing(paid: str) -> None:
    pool = pool_of()
    answer(pool, A, OPUS, COMMON + window("7d_opus", 1.0, "rejected") + paid)
    assert "7d_opus" in counting(pool, OPUS)


def test_an_account_learns_for_itself() -> None:
    pool = pool_of("ab")
    for key, headers in ((A, COMMON + window("7d_new")), (B, COMMON)):
        answer(pool, key, OPUS, headers)
    assert "7d_new" in counting(pool, OPUS)
    assert "7d_new" not in counting(pool, OPUS, key=B)


def test_counting_tokens_shows_nothing() -> None:
    pool = pool_of()
    counts = replace(asked(OPUS), endpoint="count_tokens")
    fields = recorded.fields(COMMON + window("7d_new"))
    pool.update_quota(A, fields, NOW, asked=counts, status=200)
    assert "7d_new" not in counting(pool, OPUS)


def test_what_was_learned_survives_a_restart() -> None:
    pool, again = pool_of(), pool_of()
    answer(pool, A, OPUS, COMMON + window("7d_new"))
    again.restore({}, pool.quotas(), NOW)
    answer(again, A, SONNET, COMMON)
    assert "7d_new" in counting(again, OPUS)


names = st.sampled_from(["5h", "7d", "7d_oi", "7d_opus", "tangelo", "1h"])
letters = st.text("abc", min_size=3, max_size=4)


@given(
    st.lists(
        st.tuples(st.text("uvwx", min_size=1, max_size=3), letters, st.sampled_from(Evidence)),
        max_size=200,
    )
)
def test_what_is_learned_is_bounded(shown: list[tuple[str, str, Evidence]]) -> None:
    learned: dict[str, dict[str, str]] = {}
    for name, family, latest in shown:
        learned = learn(learned, family, {name: latest})  # type: ignore[assignment]
        assert len(learned) <= MAX_WINDOWS
        assert all(len(each) <= MAX_FAMILIES for each in learned.values())
        assert learn(learned, family, {name: latest}) is learned
        assert counts_for(name, family, learned) == (learned[name][family] in ("named", "refused"))


def test_of_what_is_learned_the_latest_stays() -> None:
    learned: dict[str, dict[str, str]] = {}
    for n in range(99):
        learned = learn(learned, f"f{n}", {"7d_x": Evidence.NAMED})  # type: ignore[assignment]
    assert [*learned["7d_x"]] == [f"f{n}" for n in range(99 - MAX_FAMILIES, 99)]
    for n in range(99):
        learned = learn(learned, "opus", {f"7d_{n}": Evidence.NAMED})  # type: ignore[assignment]
    assert [*learned] == [f"7d_{n}" for n in range(99 - MAX_WINDOWS, 99)]


# --- Choosing


def test_quota_aware_looks_at_the_windows_of_the_asked_model() -> None:
    pool = pool_of("ab")
    answer(pool, A, FABLE, COMMON + window("7d_oi", 0.9))
    answer(pool, B, FABLE, COMMON + window("7d_oi", 0.1))
    chosen = [pool.choose(asked(model), NOW).account for model in (OPUS, FABLE)]
    assert [account.label for account in chosen if account] == ["a", "b"]


def test_what_expires_first_for_the_model_is_spent_first() -> None:
    pool = pool_of("ab")
    for key, week, fable in ((A, 500, 50), (B, 300, 80)):
        windows = {"7d": Window(0.1, "", NOW + week), "7d_oi": Window(0.1, "", NOW + fable)}
        pool.take_quota(key, Quota(NOW, windows))
    chosen = [pool.choose(asked(model), NOW).account for model in (OPUS, FABLE)]
    assert [account.label for account in chosen if account] == ["b", "a"]


def test_what_is_learned_changes_the_choice_at_once() -> None:
    pool = pool_of("ab")
    windows = {"7d_new": Window(0.9, "allowed", NOW + 600, NOW), "5h": Window(0.1, seen_at=NOW)}
    for key in (A, B):
        pool.take_quota(key, Quota(NOW, windows))
    assert pool.choose(asked(OPUS), NOW).account == pool.accounts[0]
    answer(pool, A, OPUS, COMMON + window("7d_new", 0.9))
    assert pool.choose(asked(OPUS), NOW).account == pool.accounts[1]
