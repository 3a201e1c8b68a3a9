from __future__ import annotations

from dataclasses import replace

from neurolink_mitm.accounts.imports.entries import Entry
from neurolink_mitm.accounts.imports.plan import plan
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret

NOW = 1000.0


def account(label: str, token: str = "", **fields: str | None) -> StoredAccount:
    text = token or label
    new = StoredAccount(label, Secret(f"sk-ant-oat-{text}"), Secret(f"sk-ant-ort-{text}"))
    return replace(new, **fields)  # type: ignore[arg-type]


def outcome(entries: list[StoredAccount], *stored: StoredAccount) -> list[str]:
    steps = plan([Entry(each.label, "w", each) for each in entries], stored, NOW)
    return [
        f"{'renews' if step.renews else 'new'} {step.account.label}"
        if step.account
        else step.reason
        for step in steps
    ]


def test_labels_are_unique() -> None:
    entries = [account("a", "1"), account("a", "2")]
    assert outcome(entries, account("a", "3")) == ["new a-2", "new a-3"]


def test_the_same_account_is_not_taken_twice() -> None:
    """By its token, by account and organisation, or by where it came from before: tokens change."""
    twin = account("b", "a")
    assert outcome([account("a"), twin]) == ["new a", "the same account as 'a', which is taken"]
    known = "it is in the pool already, as 'mine'"
    assert outcome([account("a")], account("mine", "a")) == [known]
    ids = {"account_uuid": "u", "organization_uuid": "o"}
    assert outcome([account("a", **ids)], account("mine", **ids)) == [known]
    other = ids | {"organization_uuid": "p"}
    assert outcome([account("a", **ids)], account("mine", **other)) == ["new a"]
    origin = {"origin": "ccflare:1"}
    assert outcome([account("a", **origin)], account("mine", **origin)) == [known]


def test_an_account_that_needs_a_login_is_renewed() -> None:
    origin = {"origin": "ccflare:1"}
    ended = account("mine", **origin, disabled="needs login: refused")
    assert outcome([account("a", **origin)], ended) == ["renews mine"]
    assert outcome([account("a", "mine", **origin)], ended) == [
        "it is in the pool already, as 'mine'"
    ]


def test_what_can_not_be_taken_keeps_its_reason() -> None:
    (step,) = plan([Entry("a", "w", reason="why")], (), NOW)
    assert (step.account, step.reason, step.shared) == (None, "why", False)


def test_a_login_that_can_be_refreshed_is_shared_and_a_key_is_not() -> None:
    key = StoredAccount("k", Secret("sk-ant-api-1"))
    steps = plan([Entry("a", "w", account("a")), Entry("k", "w", key)], (), NOW)
    assert [step.shared for step in steps] == [True, False]
