"""Everything that happens to a request, and in which order. Read this first.

Run it with the `neurolink` command, or as a plain mitmproxy script:

    mitmdump -s addons/neurolink.py
    mitmweb  -s addons/neurolink.py --set neurolink_config=proxy-config.yaml
"""

from __future__ import annotations

from neurolink_mitm.addons.capture import Capture
from neurolink_mitm.addons.console import Console
from neurolink_mitm.addons.embeddings import Embeddings
from neurolink_mitm.addons.failover import Failover
from neurolink_mitm.addons.gate import Gate
from neurolink_mitm.addons.hold import Holding
from neurolink_mitm.addons.inject import Inject
from neurolink_mitm.addons.journal import Journal
from neurolink_mitm.addons.local_api import LocalApi
from neurolink_mitm.addons.map_model import ModelMapping
from neurolink_mitm.addons.notices import Notices
from neurolink_mitm.addons.openai_request import OpenAiRequest
from neurolink_mitm.addons.openai_response import OpenAiResponse
from neurolink_mitm.addons.persist_state import PersistState
from neurolink_mitm.addons.refresh import Refresh
from neurolink_mitm.addons.rotate import Rotate
from neurolink_mitm.addons.route import Route
from neurolink_mitm.addons.sanitize_history import HistorySanitizer
from neurolink_mitm.addons.shape import Shape
from neurolink_mitm.addons.telemetry import Telemetry
from neurolink_mitm.addons.trace import Trace
from neurolink_mitm.addons.translate import Translate
from neurolink_mitm.addons.usage import Usage
from neurolink_mitm.app import MitmScript
from neurolink_mitm.ports import Runtime


def stack(runtime: Runtime) -> list[object]:
    """The addons in order. The data plane below them sends a request again when `failover` says so."""
    return [
        Trace(runtime),  # the exchange: request id, trace, session
        Gate(runtime),  # Host, Origin, client key: no body is read before it admits the head
        LocalApi(runtime),  # /health, /status, /v1/models, and Claude Code's probe of /
        OpenAiRequest(runtime),  # OpenAI's chat and responses requests become Messages requests
        Embeddings(runtime),  # to a provider that has embeddings
        Route(runtime),  # reads model and stream from the body; 400, 404
        Holding(runtime),  # requests that wait for an account, and when each goes on
        Rotate(runtime),  # the account of each attempt
        Refresh(runtime),  # a token that is about to expire, or was refused
        HistorySanitizer(runtime),  # the history without what Anthropic refuses
        ModelMapping(runtime),  # the model that a mapping names
        Shape(runtime),  # private words out of the request, and back into the response
        OpenAiResponse(runtime),  # OpenAI's form for those who asked in it
        Translate(runtime),  # to the translator, which asks other providers
        Inject(runtime),  # the upstream and the credential
        Failover(runtime),  # what a failure means: cool the account down, name the next, or give up
        PersistState(runtime),  # cooldowns and quotas, kept across restarts
        Usage(runtime),  # tokens, outcome, totals
        Notices(runtime),  # who served, for those who are told when it is paid for
        Console(runtime),  # a line per step
        Capture(runtime),  # bodies, if they are to be captured
        Telemetry(runtime),  # spans, metrics and a log record to a collector, where one is named
        Journal(runtime),  # a row per attempt, a row per request
    ]


addons = [MitmScript(stack)]
