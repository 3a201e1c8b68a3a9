"""Stores what is taken of another program, and what the original NeuroLink has left in our own home."""

from __future__ import annotations

from neurolink_mitm.accounts.imports.entries import Findings
from neurolink_mitm.accounts.imports.plan import Step, plan
from neurolink_mitm.accounts.stored import stored_row
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.original_store import Conversion


def take(store: TokenStore, audit: Audit, findings: Findings, now: float) -> tuple[Step, ...]:
    """Store what is taken, decided anew for what is stored by now; return all steps."""
    if not any(entry.account for entry in findings.entries):
        return plan(findings.entries, store.read().stored, now)
    steps: tuple[Step, ...] = ()
    before: dict[str, StoredAccount] = {}

    def chosen(stored: tuple[StoredAccount, ...]) -> list[StoredAccount]:
        nonlocal steps, before
        steps, before = plan(findings.entries, stored, now), {each.label: each for each in stored}
        return [step.account for step in steps if step.account]

    for account in store.save_all(chosen):
        old = before.get(account.label)
        new = {"from": findings.program.name, **stored_row(account)}
        audit.record("import", account.label, old and stored_row(old), new)
    return steps


def take_over(store: TokenStore, audit: Audit, *, force: bool) -> Conversion | None:
    """Take over the original NeuroLink's store in our own home. Raises `TokenStoreError`."""
    conversion = store.take_over(force=force)
    for label in conversion.labels if conversion else ():
        audit.record("import", label, None, {"from": "neurolink"})
    return conversion
