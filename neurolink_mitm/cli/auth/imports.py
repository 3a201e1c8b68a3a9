"""`neurolink auth import`: takes the accounts of another program into the pool, and says what it leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.ui import home
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.options import format_option
from neurolink_mitm.cli.ui.terminal import confirm, counted, print_report, say

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.accounts.imports.entries import Findings
    from neurolink_mitm.accounts.imports.plan import Step
    from neurolink_mitm.core.auth.credentials import StoredAccount

PROGRAMS = ("neurolink", "cliproxyapi", "ccflare", "ccr", "env")

Row = dict[str, Any]


@click.command("import")
@click.option(
    "--from",
    "program",
    type=click.Choice(PROGRAMS),
    required=True,
    help="The program: the original NeuroLink, CLIProxyAPI, ccflare or better-ccflare, claude-code-router;"
    " or the environment's variables.",
)
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="Its folder, file or database, where it is not in the usual place.",
)
@click.option(
    "-y", "--yes", is_flag=True, help="Don't ask before a login is taken that it refreshes, too."
)
@click.option("-f", "--force", is_flag=True, help="Take logins though the program runs.")
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and take nothing.")
@format_option
def import_accounts(
    program: str, path: Path | None, yes: bool, force: bool, dry_run: bool, form: str
) -> None:
    """Take the accounts of another program into the pool; its files are read and never changed.

    It says what it takes, what it leaves, and why. Addresses, proxies, headers and commands are listed only.

    Example: neurolink auth import --from cliproxyapi --dry-run
    """
    if program == "neurolink" and _is_own(path):
        _take_over(form, force=force, dry_run=dry_run)
        return
    from neurolink_mitm.accounts.imports.take import take

    findings = _found(program, path)
    steps = _planned(findings, home.store().read().stored)
    runs = _running(findings) if any(step.shared for step in steps) else None
    if not dry_run:
        _check(findings, steps, runs, yes=yes, force=force)
        steps = take(home.store(), home.audit(), findings, time.time())
    report = _report(program, findings, steps, runs, dry_run=dry_run)
    print_report(form, report, lambda: "".join(_text(findings, report)))


def _is_own(path: Path | None) -> bool:
    """Return whether the original's store would be read from our own home."""
    place = path or Path(os.environ.get("HOME") or "~").expanduser() / ".neurolink"
    own = home.home()
    return place.resolve() in (own.root.resolve(), own.tokens.resolve())


def _take_over(form: str, *, force: bool, dry_run: bool) -> None:
    from neurolink_mitm.accounts.imports.take import take_over

    store, own = home.store(), home.home()
    if dry_run:
        fail(
            f"{own.root} is our own home: the original's store is taken over when it is first read"
        )
    conversion = take_over(store, home.audit(), force=force)
    labels = conversion.labels if conversion else ()
    by_label = {account.label: account for account in store.read().stored}
    taken = [_identity(by_label[label]) for label in labels if label in by_label]
    left = [
        {"name": key, "where": own.tokens.name, "reason": "another provider's"}
        for key in (conversion.left if conversion else ())
    ]
    report = {"from": "neurolink", "place": str(own.tokens), "dryRun": False, "running": None}
    report |= {"taken": taken, "left": left, "notTakenOver": []}
    nothing = f"{own.tokens} is our own store: there is nothing to take over\n"
    text = f"taken over: {', '.join(labels)}\n" if conversion else nothing
    print_report(form, report, lambda: text)


def _found(program: str, path: Path | None) -> Findings:
    from neurolink_mitm.accounts.imports import ccflare, ccr, cliproxyapi, environment, original
    from neurolink_mitm.accounts.imports.entries import SourceError

    now = time.time()
    finders: Mapping[str, Callable[[], Findings]] = {
        "neurolink": lambda: original.find(path, os.environ, now),
        "cliproxyapi": lambda: cliproxyapi.find(path, os.environ, now),
        "ccflare": lambda: ccflare.find(path, os.environ, now),
        "ccr": lambda: ccr.find(path, os.environ, now),
        "env": lambda: environment.find(_variables(path), str(path or "variables"), now),
    }
    path = path.expanduser() if path else None
    try:
        return finders[program]()
    except SourceError as e:
        fail(str(e), FAILED)
    except OSError as e:
        fail(f"{e.filename}: {e.strerror}" if e.filename else str(e), FAILED)


def _variables(path: Path | None) -> Mapping[str, str]:
    """Return the variables of the process and the env file, or those of the file `path` alone."""
    if path is None:
        return home.environment()
    from neurolink_mitm.config.env_file import EnvFileError, read_environment

    try:
        if not path.is_file():
            fail(f"{path} is not there, or no regular file", FAILED)
        return read_environment({}, home.home(), path).values
    except EnvFileError as e:
        fail(str(e), FAILED)


def _planned(findings: Findings, stored: Sequence[StoredAccount]) -> Sequence[Step]:
    from neurolink_mitm.accounts.imports.plan import plan

    return plan(findings.entries, stored, time.time())


def _running(findings: Findings) -> str | None:
    from neurolink_mitm.adapters.other_programs import running

    return findings.runs or running(findings.program)


def _check(
    findings: Findings, steps: Sequence[Step], runs: str | None, *, yes: bool, force: bool
) -> None:
    """Exit where a login would be shared with a program that runs, or the user does not agree."""
    shared = [step.account.label for step in steps if step.shared and step.account]
    if not shared:
        return
    name, logins = findings.program.name, counted(len(shared), "login")
    if runs and not force:
        fail(
            f"nothing was taken: {name} runs ({runs}) and refreshes {logins}, too ({', '.join(shared)})."
            " A refresh token can be used once, so one of both would be logged out: end it first, or pass --force",
            FAILED,
        )
    if yes:
        return
    say(
        f"A refresh token can be used once: when {name} or NeuroLink refreshes {logins} ({', '.join(shared)}),"
        f" the other is logged out. Use {'it' if len(shared) == 1 else 'them'} here only from now on."
    )
    if not confirm(
        f"Take {logins} over?", otherwise="nothing was taken; pass --yes to take it unasked"
    ):
        fail("nothing was taken", FAILED)


def _report(
    program: str, findings: Findings, steps: Sequence[Step], runs: str | None, *, dry_run: bool
) -> Row:
    taken = [
        {**_identity(step.account), "renewed": step.renews, "where": step.entry.where}
        for step in steps
        if step.account
    ]
    left = [
        {"name": step.entry.name, "where": step.entry.where, "reason": step.reason}
        for step in steps
        if not step.account
    ]
    settings = [
        {"where": each.where, "name": each.name, "value": each.value} for each in findings.settings
    ]
    report: Row = {"from": program, "place": findings.place, "dryRun": dry_run, "running": runs}
    return report | {"taken": taken, "left": left, "notTakenOver": settings}


def _identity(account: StoredAccount) -> Row:
    from neurolink_mitm.accounts.report import identity

    return identity(account)


def _text(findings: Findings, report: Row) -> Iterator[str]:
    yield f"{findings.program.name} ({findings.place}):\n"
    verb = "would be taken" if report["dryRun"] else "taken"
    for row in report["taken"]:
        yield f"  {'renewed' if row['renewed'] else verb}: {row['label']!r}, {_kind(row)}, from {row['where']}\n"
    for row in report["left"]:
        yield f"  left: {row['name'] or 'unnamed'} ({row['where']}): {row['reason']}\n"
    for row in report["notTakenOver"]:
        value = f": {row['value']}" if row["value"] else ""
        yield f"  not taken over: {' '.join(filter(None, (row['where'], row['name'])))}{value}\n"
    if not report["taken"]:
        yield "  nothing to take\n"
    elif report["dryRun"]:
        yield "nothing was changed\n"
    else:
        yield f"{counted(len(report['taken']), 'account')} taken; a running proxy uses them at once\n"


def _kind(row: Row) -> str:
    if row["type"] != "oauth":
        return "API key"
    return "login" if row["refreshable"] else "long-lived login"
