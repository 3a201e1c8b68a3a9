"""The event loop neither imports nor compiles anything for request shaping: that is done with the configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home

ROOT = Path(__file__).parents[2]
CLOAKING = """\
cloaking:
  mode: always
  plugins:
    headerScrubber: {headers: [x-internal-*]}
    systemPromptInjector: {blocks: [The rules of bluebird.]}
    wordObfuscator:
      {words: [%s], patterns: ['se[c]ret\\d+'], domains: [corp.example], detectors: [email, ipv4, ipv6, key]}
    tlsFingerprint: {pins: {api.anthropic.com: [%s]}}
    custom: [%s]
"""
EXAMPLE = ROOT / "docs" / "examples" / "ticket_numbers.py"

# In a process of its own: here, everything has been imported and compiled by somebody.
PROGRAM = """
import json, os, sys
from pathlib import Path
from neurolink_mitm import stack  # as `proxy start` does before there is a loop
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.config.sources import SourceOptions, Sources
from neurolink_mitm.adapters.token_store import open_store
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.shaping.outgoing import About, OutgoingRequest
from neurolink_mitm.core.shaping.pipeline import Chain

home = Home.from_environment(os.environ)
sources = Sources(SourceOptions(os.environ), home, open_store(home, os.environ))
shaping = sources.read().shaping
if sys.argv[1] == "reload":
    home.config.write_text(home.config.read_text().replace("bluebird,", "redbird,"))
    before, shaping = shaping, sources.read_again().shaping
    assert shaping is not before
late = []

def watch(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.endswith("re/_compiler.py"):
        late.append("an expression is compiled")
    if event == "c_call" and arg is compile:
        late.append("code is compiled")

said = "redbird bluebird secret7 bob@corp.example db1.corp.example 10.1.2.3 fe80::1 CORP-12 é " + "ghp_" + "a1" * 12
body = json.dumps({"model": "m", "messages": [{"role": "user", "content": said}]}).encode()
fields = ((b"via", b"a"), (b"x-internal-a", b"b"), (b"x-team", b"redbird"))
modules = set(sys.modules)
sys.setprofile(watch)
sent = shaping.shape(OutgoingRequest(About(Kind.MESSAGES, "work", claude_code=False), fields, body))
delta = {"type": "text_delta", "text": sent.body.decode()}
event = {"type": "content_block_delta", "index": 0, "delta": delta}
stream = b"event: content_block_delta\\ndata: %s\\n\\n" % json.dumps(event).encode()
chain, whole = Chain.of(sent.undo, stream=True), Chain.of(sent.undo, stream=False)
answers = chain.feed(stream[:99]) + chain.feed(stream[99:]) + chain.end(), whole.feed(body) + whole.end()
sys.setprofile(None)
late += sorted(set(sys.modules) - modules)
assert len(sent.counts) >= 6 and len(sent.undo) == 2, sent.counts
assert all(b"secret7" in each and b"CORP-12" in each for each in answers)
print(",".join(late) or "nothing")
"""


@pytest.fixture
def ready(home: Path) -> Home:
    place = Home.from_environment(os.environ)
    place.create()
    place.config.write_text(CLOAKING % ("bluebird, other", "ab" * 32, EXAMPLE))
    return place


@pytest.mark.parametrize("how", ["start", "reload"])
def test_the_first_request_finds_all_of_it_there(ready: Home, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("nothing\n", "")
