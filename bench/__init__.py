"""Benchmark: `python -m bench` measures NeuroLink beside a direct connection and stock mitmdump.

With `--options` also NeuroLink with and without its options (`variants`, `bare`); with
`--against FOLDER` also an earlier NeuroLink.

Everything runs on loopback, each part in its own process: the upstream (`upstream`), one proxy
per row (`processes`, `children`), and the client, which is this process (`client`). `payloads`
has the requests and expected responses, `measure` lets the rows advance by turns, `usage` reads
CPU and memory of a process, `samples` and `summary` condense the figures, `slow` holds many slow
streams open, `targets` judges, `report` prints, `plan` is the size of a run.
"""
