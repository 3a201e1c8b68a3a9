"""Shifts a process's clock by CLUSTERTEST_AHEAD seconds: Python imports this at its start."""

import os
import time

_AHEAD = float(os.environ["CLUSTERTEST_AHEAD"])
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() + _AHEAD
time.time_ns = lambda: _time_ns() + int(_AHEAD * 1e9)
