"""Throws hostile and broken bytes at NeuroLink for as long as one likes, and looks what gives way.

    python -m tools.fuzz --minutes 60

- `inputs.py`: how bytes are made: real examples, cut, torn, repeated and mixed with words that matter.
- `pure.py`: what is called in this process: readers of bodies, answers, streams, state files, log rows.
- `live.py`: the real proxy, with strangers in front of it and broken upstreams behind it.
- `verdict.py`: what counts as a finding: a traceback, a stall, memory that grows, a credential gone astray.

Hypothesis makes the inputs, steers towards slow ones and reduces what it finds to its smallest form.
"""
