"""What NeuroLink costs: `python -m bench` against a direct connection and stock mitmdump.

With `--options` also what its options cost, against NeuroLink without them (`variants`, `bare`);
with `--against FOLDER` also against an earlier NeuroLink.

Everything runs on loopback, each part in its own process: the upstream (`upstream`), one proxy
per row (`processes`, `children`), and the client, which is this process (`client`). `payloads`
says what is sent and what must come back, `measure` lets the rows advance by turns, `usage` reads
what a proxy process cost, `samples` and `summary` condense it, `slow` holds many slow streams
open, `targets` judges, `report` prints, `plan` says how much of all that is done.
"""
