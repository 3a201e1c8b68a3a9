"""`neurolink clients`: keys for those who call the proxy, and what their holders may do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from neurolink_mitm.accounts import clients as room
from neurolink_mitm.adapters.client_file import read_clients
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.home import audit, home
from neurolink_mitm.cli.ui.in_step import in_step
from neurolink_mitm.cli.ui.options import Option, format_option
from neurolink_mitm.cli.ui.terminal import print_report, say
from neurolink_mitm.core.auth import client_keys as bounds
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.auth.credentials import check_label
from neurolink_mitm.core.cost.budget import ClientUse
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import local_date_time

NONE = "none"
"""The value that takes a limit away."""


def _number(kind: type[int] | type[float], lowest: float, highest: float) -> Callable[..., Any]:
    """Return the callback of an option that takes a number within bounds, or `none`."""

    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
        if value is None or value == NONE:
            return value
        try:
            number = kind(value)
            if lowest <= number <= highest:  # not if it is not a number
                return number
        except ValueError:
            pass
        words = "whole number" if kind is int else "number"
        raise click.BadParameter(f"{value!r:.40} is no {words} from {lowest:g} to {highest:.15g}")

    return check


def _patterns(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        if not value.isprintable() or not 0 < len(value.strip()) <= bounds.LONGEST_PATTERN:
            raise click.BadParameter(f"{value!r:.40} is no name or wildcard of models")
    if len(values) > bounds.MOST_MODELS:
        raise click.BadParameter(f"at most {bounds.MOST_MODELS}")
    if NONE in values and len(values) > 1:
        raise click.BadParameter("`none` stands alone")
    return tuple(value.strip() for value in values)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the limits of a client."""
    options: tuple[Option[Any], ...] = (
        click.option(
            "--model", "models", multiple=True, metavar="PATTERN", callback=_patterns,
            help="A model it may ask for, wildcards allowed; may be repeated. `none`: no limit, all models.",
        ),
        click.option(
            "--rate", metavar="N", callback=_number(int, 1, bounds.MOST_RATE),
            help="Requests a minute. `none`: no limit.",
        ),
        click.option(
            "--daily-cap-usd", metavar="USD", callback=_number(float, 0, bounds.MOST_CAP),
            help="What its requests of a day may cost by the list prices, on subscriptions too. `none`: no limit.",
        ),
        click.option(
            "--hold", metavar="SECONDS", callback=_number(int, 0, bounds.MOST_HOLD),
            help="How long its requests may wait for an account. `none`: as routing.hold says.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _limits(models: tuple[str, ...], **numbers: float | str | None) -> dict[str, Any]:
    """Return the limits that were named, as fields of `ClientKey`."""
    fields: dict[str, Any] = {
        name: None if value == NONE else value
        for name, value in numbers.items()
        if value is not None
    }
    if models:
        fields["models"] = () if models == (NONE,) else models
    return fields


def _legal(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        return check_label(value)
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


def _client_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that complete `incomplete`; none where the file can't be read."""
    try:
        clients = read_clients(home().clients)
    except (ValueError, SystemExit):
        return []
    return [client.name for client in clients if client.name.startswith(incomplete)]


@click.group(name="clients", cls=Group)
def command() -> None:
    """Keys for those who call the proxy, with limits, and what each has used."""


@command.command()
@click.argument("name", callback=_legal)
@limit_options
@format_option
def add(name: str, form: str, **options: Any) -> None:
    """Make a key for the client NAME and show it, once: only its hash is kept.

    Example: neurolink clients add laptop --daily-cap-usd 20
    """
    place = home()
    limits = _limits(**options)
    try:
        first = not read_clients(place.clients)
        key = room.add(place, audit(), name, time.time(), **limits)
    except ValueError as e:
        fail(str(e), FAILED)
    print_report(form, {"name": name, "key": key}, lambda: f"{key}\n")
    say(
        "It is not shown again. Claude Code shows it with: export ANTHROPIC_AUTH_TOKEN=<key>;"
        " other tools: neurolink proxy env --for TOOL"
    )
    if first:
        say("From now on all callers must show a key, those on this machine too.")


@command.command("set")
@click.argument("name", shell_complete=_client_names)
@limit_options
@format_option
def set_limits(name: str, form: str, **options: Any) -> None:
    """Change limits of the client NAME; its key stays. A running proxy notices at once.

    Example: neurolink clients set laptop --rate 30 --daily-cap-usd none
    """
    limits = _limits(**options)
    if not limits:
        fail("say what to change: --model, --rate, --daily-cap-usd or --hold", USAGE)
    try:
        changed = room.change(home(), audit(), name, **limits)
    except ValueError as e:
        fail(str(e), FAILED)
    if not changed:
        fail(f"no client {name!r}; see: neurolink clients list", FAILED)
    described = ", ".join(_described(changed)) or "no limits"
    print_report(form, _limits_row(changed), lambda: f"{name}: {described}\n")


@command.command("list")
@format_option
def list_clients(form: str) -> None:
    """List the clients that have a key, their limits, and what they have used; the keys themselves are not kept.

    Example: neurolink clients list
    """
    from neurolink_mitm.adapters.cost import peek_day

    place, now = home(), time.time()
    try:
        clients = read_clients(place.clients)
    except ValueError as e:
        fail(str(e), FAILED)
    day = peek_day(place.spend)
    uses = [day.clients.get(client.name, ClientUse()) for client in clients]
    for use in uses:
        use.today_usd = use.today_usd if now < day.day_ends_at else 0.0
    rows = [_row(client, use) for client, use in zip(clients, uses, strict=True)]
    none = "no client has a key; make one with: neurolink clients add NAME\n"
    print_report(form, {"clients": rows}, lambda: _table(clients, uses) if clients else none)


def _limits_row(client: ClientKey) -> dict[str, Any]:
    return {"name": client.name, **room.limits_row(client)}


def _row(client: ClientKey, use: ClientUse) -> dict[str, Any]:
    return {
        **_limits_row(client),
        "createdAt": f"{iso(client.created_at)[:19]}Z",
        "lastUsedAt": f"{iso(use.last_used_at)[:19]}Z" if use.last_used_at else None,
        "requests": use.requests,
        "todayUsd": round(use.today_usd, 6),
        "totalUsd": round(use.total_usd, 6),
    }


def _table(clients: tuple[ClientKey, ...], uses: list[ClientUse]) -> str:
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable, filled, printed

    lines = [_line(client, use) for client, use in zip(clients, uses, strict=True)]
    cells = [[Text(cell) for cell in column] for column in zip(*lines, strict=True)]
    columns = [
        Column("client", cells[0], min_width=12),
        Column(
            "last used",
            cells[1],
            short=[Text(line[1][5:] or line[1]) for line in lines],
            shorten_step=2,
        ),
        Column("requests", cells[2], right=True, drop_step=1),
        Column("today", cells[3], right=True),
        Column("in all", cells[4], right=True),
        Column("limits", cells[5], min_width=26),
        Column("since", cells[6], drop_step=0),
    ]
    return printed(FittedTable(filled(columns)))


def _line(client: ClientKey, use: ClientUse) -> tuple[str, ...]:
    from neurolink_mitm.cli.ui.tables import NONE as EMPTY

    return (
        client.name,
        local_date_time(use.last_used_at)[:16] if use.last_used_at else "never",
        str(use.requests),
        _today(client, use),
        _usd(use.total_usd),
        ", ".join(_described(client)) or EMPTY,
        local_date_time(client.created_at)[:10],
    )


def _today(client: ClientKey, use: ClientUse) -> str:
    cap = client.daily_cap_usd
    return _usd(use.today_usd) if cap is None else f"{_usd(use.today_usd)} of ${cap:g}"


def _usd(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 0.1 or not usd else f"${usd:.4f}"


def _described(client: ClientKey) -> list[str]:
    """Return the limits in words."""
    words = [*client.models]
    if client.rate is not None:
        words.append(f"{client.rate} a minute")
    if client.daily_cap_usd is not None:
        words.append(f"${client.daily_cap_usd:g} a day")
    if client.hold is not None:
        words.append(f"holds {client.hold} s")
    return words


@command.command()
@click.argument("name", shell_complete=_client_names)
@format_option
def renew(name: str, form: str) -> None:
    """Make a new key for the client NAME and show it, once. Its limits stay, and the old key opens nothing any more.

    Example: neurolink clients renew laptop
    """
    try:
        key = room.renew(home(), audit(), name)
    except ValueError as e:
        fail(str(e), FAILED)
    if key is None:
        fail(f"no client {name!r}; see: neurolink clients list", FAILED)
    print_report(form, {"name": name, "key": key}, lambda: f"{key}\n")


@command.command()
@click.argument("name", shell_complete=_client_names)
def revoke(name: str) -> None:
    """Let the key of the client NAME open nothing any more, in a running proxy at once.

    What it has used stays in `neurolink stats`, and counts for another key of that name.

    Example: neurolink clients revoke laptop
    """
    try:
        revoked = room.revoke(home(), audit(), name)
    except ValueError as e:
        fail(str(e), FAILED)
    if not revoked:
        fail(f"no client {name!r}; see: neurolink clients list", FAILED)
    click.echo(f"revoked: {name}")


for each in command.commands.values():
    in_step(each)
