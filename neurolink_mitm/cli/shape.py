"""`neurolink shape`: what request shaping would make of a request. Nothing is sent."""

from __future__ import annotations

from typing import Any, BinaryIO

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.home import inputs as read_inputs
from neurolink_mitm.cli.ui.options import format_option
from neurolink_mitm.cli.ui.terminal import print_report
from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request.body import read_body
from neurolink_mitm.core.request.target import Target
from neurolink_mitm.core.shaping.outgoing import About, OutgoingRequest, RefusedError, differences
from neurolink_mitm.core.shaping.pipeline import PluginError


@click.command("shape")
@click.argument("file", type=click.File("rb"))
@click.option("--account", "label", help="For this account (default: the first of the pool).")
@click.option(
    "--client",
    type=click.Choice(["claude-code", "other"]),
    default="claude-code",
    show_default=True,
    help="Who asks.",
)
@click.option("-H", "--header", "headers", multiple=True, help="A header field, `name: value`.")
@format_option
def command(
    file: BinaryIO, label: str | None, client: str, headers: tuple[str, ...], form: str
) -> None:
    """Show what request shaping makes of a request; nothing is sent.

    FILE has the body, as JSON; - is standard input. What changes comes first, then all that would be sent.

    Example: neurolink shape request.json --account work
    """
    inputs = read_inputs()
    account = _account(inputs, label)
    before = _request(file.read(), headers, account, claude_code=client == "claude-code")
    after = _shaped(inputs, account, before)
    report = _report(inputs, account, before, after)
    print_report(form, report, lambda: _text(report))


def _account(inputs: Inputs, label: str | None) -> Account:
    if label is None and inputs.accounts:
        return inputs.accounts[0]
    accounts = (*inputs.accounts, *(each for each in inputs.others if each.model))
    if not accounts:
        fail("no account yet: run `neurolink auth login anthropic --add`")
    for account in accounts:
        if label in (None, account.label, account.key):
            return account
    labels = ", ".join(each.label for each in accounts)
    fail(f"no account is called {label}; there are {labels}", USAGE)


def _request(
    body: bytes, headers: tuple[str, ...], account: Account, *, claude_code: bool
) -> OutgoingRequest:
    try:
        read = read_body(body)
    except ValueError as e:
        fail(f"no Messages request: {e}", USAGE)
    about = About(
        kind=Kind.MESSAGES,
        account=account.label,
        account_type=account.type,
        account_uuid=account.account_uuid,
        host=Target.parse(account.base_url).host if account.is_anthropic else "",
        claude_code=claude_code,
        user_id=read.user_id,
    )
    pairs = (header.partition(":") for header in headers)
    fields = tuple((name.strip().encode(), value.strip().encode()) for name, _, value in pairs)
    return OutgoingRequest(about, fields, body, index=read.index)


def _shaped(inputs: Inputs, account: Account, request: OutgoingRequest) -> OutgoingRequest:
    if not inputs.shaping.applies(account.type):
        return request
    try:
        return inputs.shaping.shape(request)
    except (RefusedError, PluginError) as e:
        fail(f"nothing would be sent: {e}", FAILED)


def _report(
    inputs: Inputs, account: Account, before: OutgoingRequest, after: OutgoingRequest
) -> dict[str, Any]:
    shaping = inputs.shaping
    names = [name for name, _ in shaping.rewriters] if shaping.applies(account.type) else []
    return {
        "account": account.label,
        "accountType": account.type,
        "mode": inputs.config.cloaking.mode,
        "plugins": names,
        "changed": before != after,
        "replaced": dict(after.counts),
        "pins": list(after.pins) if after.pins is not None else None,
        "headers": [f"{k.decode('latin-1')}: {v.decode('latin-1')}" for k, v in after.fields],
        "body": after.body.decode("utf-8", "replace"),
        "diff": differences(before, after),
    }


def _text(report: dict[str, Any]) -> str:
    ran = ", ".join(report["plugins"]) or f"none, by mode {report['mode']}"
    counted = ", ".join(f"{count} {kind}" for kind, count in report["replaced"].items())
    lines = [
        f"account   {report['account']} ({report['accountType']})",
        f"plugins   {ran}",
        f"replaced  {counted or 'nothing'}",
        "",
        *(report["diff"] or ["goes out byte for byte as it came"]),
        "",
        "What would be sent:",
        *report["headers"],
        report["body"].rstrip("\n"),
    ]
    return "\n".join(lines) + "\n"
