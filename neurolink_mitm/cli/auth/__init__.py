"""`neurolink auth`: log in to accounts and look after them.

`login` obtains a credential by one of the `methods` and stores it; `list` reports, by the texts of `render` (apart, as
rich is slow to import); `imports` takes other programs' accounts, `accounts` changes what is stored, `primary` the
configuration, `pauses` both: who serves for now, and in which order. `accounts/operations.py` does the work.
"""

from __future__ import annotations

from neurolink_mitm.cli.auth import accounts, imports, list, login, pauses, primary
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.in_step import in_step

HELP = """Log in to accounts and look after them.

Example: neurolink auth login anthropic --add --label work
"""

command = Group("auth", help=HELP)
for each in (
    login.login, imports.import_accounts, accounts.logout, accounts.enable, accounts.disable,
    pauses.pause, pauses.resume, pauses.order, list.list_accounts, list.status, accounts.refresh,
    accounts.cleanup, primary.set_primary_account, primary.get_primary, primary.clear_primary,
):  # fmt: skip
    command.add_command(in_step(each))
