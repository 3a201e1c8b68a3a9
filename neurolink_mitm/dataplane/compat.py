"""What of mitmproxy's inside the data plane relies on, the versions that fit, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mitmproxy import version

from neurolink_mitm.core.status.versions import REQUIREMENT, fits_mitmproxy

_STREAM = "test_after_a_failure_the_request_goes_elsewhere"
_LATE = "test_a_late_word_of_a_dropped_attempt"
_HEAD = "test_who_leaves_while_the_head_is_judged"
_SERVER = "test_any_split_of_a_request_is_the_same_request"
_CLIENT = "test_any_split_is_the_same_answer"
_STOP = "test_a_hook_is_not_waited_for"
_REPLAY = "test_a_replay_is_a_new_flow_that_fails_over"
_FILE = "test_a_file_of_flows_for_mitmdump"
_PAGE = "test_nothing_of_the_page_opens_without_its_token"
_SEATS = "test_mitmproxy_itself_hangs_up_on_nobody"

CONTRACTS: Mapping[str, str] = {
    # imported from modules with an underscore
    "proxy.layers.http._base": _STREAM,
    "proxy.layers.http._events": _STREAM,
    "proxy.layers.http._http1": _SERVER,
    # overridden
    "addonmanager.AddonManager.handle_lifecycle": "test_a_lifecycle_is_its_event_alone",
    "addonmanager.AddonManager.register": "test_whoever_comes_later_is_heard",
    "addonmanager.AddonManager.remove": "test_whoever_has_gone_is_not_heard",
    "addonmanager.AddonManager.trigger_event": "test_handlers_are_awaited_in_order",
    "addons.clientplayback.ReplayHandler.replay": _REPLAY,
    "proxy.commands.StartHook.name": "test_an_addon_hears_it_by_its_name_and_gets_the_flow",
    "proxy.layer.Layer._handle_event": "test_what_goes_to_one_peer_goes_in_one_write",
    "proxy.layer.Layer.handle_event": "test_what_goes_to_one_peer_goes_in_one_write",
    "proxy.layers.http.HttpLayer._handle_event": _LATE,
    "proxy.layers.http.HttpLayer.get_connection": _STREAM,
    "proxy.layers.http.HttpLayer.make_stream": "test_upstreams_that_are_gone_are_forgotten",
    "proxy.layers.http.HttpStream._handle_event": "test_silence",
    "proxy.layers.http.HttpStream.handle_protocol_error": _LATE,
    "proxy.layers.http.HttpStream.state_consume_request_body": "test_a_body_in_chunks_that_grows_too_large",
    "proxy.layers.http.HttpStream.state_wait_for_request_headers": _HEAD,
    "proxy.layers.http.HttpStream.state_wait_for_response_headers": _STREAM,
    "proxy.layers.http._http1.Http1Client.read_headers": _CLIENT,
    "proxy.layers.http._http1.Http1Client.send": _STREAM,
    "proxy.layers.http._http1.Http1Connection.mark_done":
        "test_a_connection_is_handed_back_when_the_response_is_complete",
    "proxy.layers.http._http1.Http1Connection.read_body": _CLIENT,
    "proxy.layers.http._http1.Http1Connection.wait": "test_what_is_sent_ahead_waits_for_its_turn",
    "proxy.layers.http._http1.Http1Server.read_headers": _SERVER,
    "proxy.layers.http._http1.Http1Server.send": "test_an_answer_in_chunks",
    # used by a name with an underscore
    "addonmanager.AddonManager._iter_hooks": "test_addons_of_addons_are_heard_in_their_place",
    "proxy.layer.Layer._paused": _STOP,
    "proxy.layer.Layer._paused_event_queue": _HEAD,
    # replaced on objects of mitmproxy's, or read of them though not documented
    "addons.clientplayback.ClientPlayback.queue": _FILE,
    "addons.clientplayback.ClientPlayback.start_replay": _REPLAY,
    "addons.default_addons": "test_who_asks_for_all_gets_all",
    "addons.proxyserver.Proxyserver.connections": _STOP,
    "addons.proxyserver.Proxyserver.servers": _STOP,
    "addons.proxyserver.Proxyserver.setup_servers": "test_a_plain_script_streams_and_fails_over",
    "http.MessageData.__post_init__": "test_messages_are_made_without_a_check_of_their_types",
    "master.Master.load_flow": "test_loaded_flows_stay_as_they_are_and_are_replayed_through_the_pool",
    "proxy.server.ConnectionHandler.handle_client": "test_streams_on_a_connection_that_stays_open",
    "proxy.server.ConnectionHandler.handle_hook": "test_a_hook_may_refuse_a_new_connection",
    "proxy.server.ConnectionHandler.server_event": "test_events_in_the_middle_of_others_come_after_them",
    "proxy.server.ConnectionHandler.timeout_watchdog": _SEATS,
    "proxy.server.ConnectionHandler.transports": _SEATS,
    "proxy.server.ConnectionHandler.wakeup_timer": _REPLAY,
    "tools.web.app.IndexHandler": _PAGE,
    "tools.web.webaddons.open_browser": "test_in_a_real_browser",
}  # fmt: skip
"""By what the data plane relies on of mitmproxy without promise, below `mitmproxy.`, a test that notices a change."""


class UnsupportedMitmproxyError(RuntimeError):
    """The installed mitmproxy is older or newer than what the data plane was tested on."""


def check_version(found: str = version.VERSION) -> None:
    """Refuse to run on an untested inner API.

    Raises:
        UnsupportedMitmproxyError: names the installed version and those that fit.
    """
    if not fits_mitmproxy(found):
        needed = REQUIREMENT.removeprefix("mitmproxy")
        raise UnsupportedMitmproxyError(
            f"mitmproxy {found} is installed; NeuroLink needs {needed}: pip install '{REQUIREMENT}'"
        )


def _codes() -> tuple[Any, Any]:
    """Return the error codes: an enum since 11.1, HTTP status codes before."""
    try:
        from mitmproxy.proxy.layers.http._events import ErrorCode
    except ImportError:
        from mitmproxy.net.http import status_codes

        return status_codes.NO_RESPONSE, status_codes.CLIENT_CLOSED_REQUEST
    return ErrorCode.CANCEL, ErrorCode.CLIENT_DISCONNECTED


CANCEL, CLIENT_LEFT = _codes()
"""Close the peer's connection without an error response; the client has left."""


def status_of(code: Any) -> int | None:
    """Return the HTTP status of an error code; None where the connection is closed without a response."""
    from mitmproxy.net.http import status_codes

    if isinstance(code, int):
        return None if code == status_codes.NO_RESPONSE else code
    status: int | None = code.http_status_code()
    return status
