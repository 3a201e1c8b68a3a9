"""The mitmproxy script of the row `mitmdump`: it streams every response."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    if flow.response:
        flow.response.stream = True
