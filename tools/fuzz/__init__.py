"""Fuzzes NeuroLink with hostile and broken bytes.

    python -m tools.fuzz --minutes 60

- `inputs.py` makes inputs: real examples, cut, torn, repeated and mixed with significant words.
- `pure.py` fuzzes in this process: readers of bodies, responses, streams, state files, log rows.
- `live.py` fuzzes the real proxy, with hostile clients and broken upstreams.
- `verdict.py` says what counts as a finding: a traceback, a stall, growing memory, a leaked credential.

Hypothesis makes the inputs, steers towards slow ones and shrinks what fails.
"""
