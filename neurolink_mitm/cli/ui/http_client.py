"""Asks the running proxy, with what the standard library has: commands have to start quickly."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT = 5.0


Query = Mapping[str, str]


def get_json(
    url: str, query: Query | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """The JSON object at `url`, or None where there is no good answer within 5 s."""
    status, document = _ask("GET", url, query or {}, headers or {})
    return document if status == 200 else None


def get_text(url: str, headers: Mapping[str, str]) -> str | None:
    """The text at `url`, or None where there is no good answer within 5 s."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path, headers=dict(headers))
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return text if response.status == 200 else None


def get(url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and JSON object that came back; status 0 where nothing did."""
    return _ask("GET", url, {}, headers)


def post(url: str, query: Query, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and JSON object that came back; status 0 where nothing did."""
    return _ask("POST", url, query, headers)


def _ask(
    method: str, url: str, query: Query, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request(method, f"{parts.path}?{urlencode(query)}", headers=dict(headers))
        response = connection.getresponse()
        document = json.loads(response.read())
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return 0, {}
    finally:
        connection.close()
    return (response.status, document) if isinstance(document, dict) else (0, {})
