"""Benchmark: `python -m bench` measures NeuroLink beside a direct connection and stock mitmdump.

Everything runs on loopback, each part in its own process: the upstream (`upstream`), a forwarder that
models distance (`forwarder`), one proxy per row (`processes`, `children`, `variants`, `bare`), and the
client, which is this process (`client`). `payloads` has the requests and expected responses, `forms` the
same in the form of another API,
`certificates` the authority of upstream's TLS, `usage` reads CPU and memory of a process.

`rows` says who is measured, `plan` how much, `parts` what: rows that advance by turns (`comparison`,
`measure`), the first byte of a distant upstream (`distance`), many slow streams (`slow`). `samples` and
`summary` condense the figures, `targets` judges, `report` prints.

`python -m bench.many_rows` is apart from it: it writes a month of logs, and measures how long their sums take.

With `--options` also NeuroLink with and without its options; with `--against FOLDER` also an earlier
NeuroLink.
"""
