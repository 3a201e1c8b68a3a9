"""A plugin of your own: ticket numbers leave as placeholders, and come back as they were.

cloaking:
  plugins:
    custom: [ticket_numbers.py]     # beside proxy-config.yaml
"""

import re
from dataclasses import replace

from neurolink_mitm.core.shaping.outgoing import Editor, OutgoingRequest
from neurolink_mitm.core.shaping.restoring import Placeholders, editor

TICKET = re.compile(rb"CORP-\d+")
PLACEHOLDERS = Placeholders(b"any bytes; the same ones make the same placeholders")


class TicketNumbers:
    """One class with a method `rewrite`. It is made once, when the configuration is loaded."""

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        """Return the request as it is, or another one. Whatever this raises refuses the request: nothing is sent."""
        tickets = {each.decode() for each in TICKET.findall(outgoing.body)}
        if not tickets:
            return outgoing
        table = {PLACEHOLDERS.make("TEXT", ticket): ticket for ticket in tickets}
        names = {ticket: name.encode() for name, ticket in table.items()}
        body = TICKET.sub(lambda found: names[found[0].decode()], outgoing.body)

        def undo(stream: bool) -> Editor:
            """Return an editor for each response; `stream`: it comes as events."""
            return editor(table, stream=stream)

        return replace(outgoing, body=body, undo=(*outgoing.undo, undo))
