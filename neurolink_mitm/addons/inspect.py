from __future__ import annotations

from mitmproxy import exceptions, http
from mitmproxy.addonmanager import Loader

from neurolink_mitm.core.logs.summary import comment, marker
from neurolink_mitm.dataplane.hooks import is_pool_flow, mask_credentials, summary_of

ASKED_ALL_THE_TIME = ("/health", "/status", "/metrics")
"""Paths that the guard, `status --watch` and Prometheus poll; their flows are not shown."""


class Inspect:
    """Prepares flows for mitmweb: a comment on how each was served, and masked credentials.

    Last of all addons, so that it sees what they have done before mitmproxy shows it.
    """

    def load(self, loader: Loader) -> None:
        from neurolink_mitm.dataplane.content_view import add_view  # only who watches needs views

        add_view()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not is_pool_flow(flow):
            return
        mask_credentials(flow)
        if flow.request.path.partition("?")[0] in ASKED_ALL_THE_TIME:
            raise exceptions.AddonHalt  # the list of flows, which comes later, does not hear of it

    def attempt(self, flow: http.HTTPFlow) -> None:
        mask_credentials(flow)
        self._annotate(flow)

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        self._annotate(flow)

    responseheaders = response = error = attempt_failed

    @staticmethod
    def _annotate(flow: http.HTTPFlow) -> None:
        seen = summary_of(flow) if is_pool_flow(flow) else None  # a loaded one has its own already
        if seen is not None:
            flow.comment = comment(seen)
            flow.marked = marker(seen)
