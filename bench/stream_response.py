"""The mitmproxy script of the mitmdump row: stream every answer, do nothing else."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    if flow.response:
        flow.response.stream = True
