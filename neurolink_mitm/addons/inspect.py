from __future__ import annotations

from mitmproxy import exceptions, http
from mitmproxy.addonmanager import Loader

from neurolink_mitm.core.logs.summary import comment, marker
from neurolink_mitm.dataplane.hooks import is_pool_flow, mask_credentials, summary_of

ASKED_ALL_THE_TIME = ("/health", "/status", "/metrics")
"""By the guard, `status --watch` and Prometheus: nobody watches flows for that."""


class Inspect:
    """For those who watch flows: says on each who served it and how, and hides credentials even while they are sent.

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
        self._tell(flow)

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        self._tell(flow)

    responseheaders = response = error = attempt_failed

    @staticmethod
    def _tell(flow: http.HTTPFlow) -> None:
        seen = summary_of(flow) if is_pool_flow(flow) else None  # a loaded one has its own already
        if seen is not None:
            flow.comment = comment(seen)
            flow.marked = marker(seen)
