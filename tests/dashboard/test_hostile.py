"""What comes from outside is text on every page: requests, answers, labels, rows of the logs, the query."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote, urlencode

import httpx
import msgspec
import pytest

from neurolink_mitm.core.logs.audit import AuditRow
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow, iso
from neurolink_mitm.dashboard.actions import ACTIONS
from neurolink_mitm.dashboard.pages import PAGES
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served, served
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

EVIL = (
    "<script>nlevil()</script>\"><nlevil nlevil=1>'><nlevil onerror=nlevil()>&lt;nlevil&gt;</title></textarea>"
    "javascript:nlevil {{7*191}}{% include 'base.html' %}${7*191}"
)
"""It is on the page as text, or not at all."""
ODD = "\x00\x07\x1b[31m\u202egnp.exe\u2066 \ufeff\u2028 \U0001f600"
LONG = "A" * 1_000_000
LABEL = "<nlevil onx='1'>\"{{7*191}}"
LARGEST_PART = 2_000_000


class Markup(HTMLParser):
    """The tags and attributes of a page that nobody of us has written."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ours = True
        self.names: set[str] = set()
        """Of the fields of its forms."""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        script = tag == "script" and not (values.get("src") or "").startswith("/static/")
        foreign = script or tag in ("nlevil", "iframe", "base", "object")
        foreign = foreign or any(name.startswith("on") or "nlevil" in name for name in values)
        links = (
            values.get(name) or ""
            for name in ("href", "src", "action", "formaction", "hx-get", "hx-post")
        )
        self.ours = self.ours and not foreign and not any(leads_away(link) for link in links)
        if tag in ("input", "select", "textarea") and values.get("name"):
            self.names.add(str(values["name"]))


def leads_away(link: str) -> bool:
    return (bool(link) and not link.startswith(("/", "#", "?"))) or link.startswith("//")


def filled(kind: type[msgspec.Struct], text: str, at: str) -> bytes:
    """A row whose texts are all `text`, and whose numbers are as odd as JSON has them."""
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        kinds = str(hint)
        if "str" in kinds and "dict" not in kinds and "tuple" not in kinds and "list" not in kinds:
            values[name] = text
        elif "bool" in kinds:
            values[name] = True
        else:
            values[name] = 1e308 if "float" in kinds else 2**53 if "int" in kinds else None
    values |= {"timestamp": at, "requestId": f"req-{len(text)}"}
    return json.dumps(values).encode() + b"\n"


def write_rows(logs: Path) -> None:
    """Rows of requests, attempts and changes that somebody has written by hand; some are no rows at all."""
    now = time.time()
    families: Mapping[str, type[msgspec.Struct]] = {
        "proxy": RequestRow,
        "proxy-attempts": AttemptRow,
        "audit": AuditRow,
    }
    logs.mkdir(parents=True, exist_ok=True)
    for family, kind in families.items():
        rows = [filled(kind, text, iso(now - 60)) for text in (EVIL, ODD, LABEL, LONG, "\ud800x")]
        broken = [
            b"{}\n",
            b"[]\n",
            b"\xff\xfe\n",
            b'{"timestamp": "' + EVIL.encode() + b'"}\n',
            b"{" * 100_000 + b"\n",
        ]
        path = logs / f"{family}-{iso(now)[:10]}.jsonl"
        path.write_bytes(b"".join(rows + broken))
        path.chmod(0o600)


HEADERS = {
    **CLAUDE_CODE,
    **dict.fromkeys(
        (
            "x-claude-code-session-id",
            "x-claude-code-agent-id",
            "x-claude-code-parent-agent-id",
            "x-neurolink-user-id",
            "x-neurolink-conversation-id",
            "x-neurolink-nlevil",
        ),
        EVIL,
    ),
}


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With hostile rows, an error of upstream's, and a request in flight."""
    place = tmp_path_factory.mktemp("hostile")
    with SandboxServer([Account("e", "sk-ant-test-e")]) as upstream:
        pool = [account(LABEL, upstream.url, token="sk-ant-test-e")]
        with served(Proxy(pool), place) as running:
            write_rows(running.home.logs)
            runtime = running.proxy.runtime
            runtime.config_errors, runtime.config_path = (EVIL, ODD), str(place / EVIL)
            upstream.script("e", Reply(stall_after=4, chunk_text=EVIL), Reply(403, message=EVIL))
            with httpx.Client(trust_env=False, timeout=LIMIT, headers=HEADERS) as client:
                body = message(metadata={"user_id": EVIL})
                url = f"{running.proxy.url}/v1/messages"
                with client.stream("POST", url, json=body) as streaming:
                    next(streaming.iter_bytes())
                    client.post(url, json=body)
                    client.post(url, json=message(model=EVIL[:200]))
                    yield running


def asked(client: httpx.Client, name: str, query: Mapping[str, str]) -> str:
    """The part's HTML; fails where it can't be shown, or is not ours alone."""
    response = client.get(f"/parts/{name}?{urlencode(query, errors='surrogatepass')}")
    shown = f"/parts/{name} with {str(query)[:200]}"
    assert response.status_code in (200, 400, 404), shown
    html = response.text
    assert "1337" not in html, f"{shown}: a template was run"
    assert Markup(html).ours, f"{shown}: {html[:5000]}"
    assert not [c for c in "\x00\x1b\u202e\u2066" if c in html], shown
    assert len(html) < LARGEST_PART, f"{shown}: {len(html)} characters"
    return html


def test_what_comes_from_outside_is_text_on_all_pages(dashboard: Served) -> None:
    parts = [part.name for page in PAGES for part in page.parts]
    with dashboard.signed_in() as client:
        shown = ""
        for name in parts:
            html = asked(client, name, {})
            shown += html
            fields = sorted(Markup(html).names | {"id", "q", "account", "model", "page"})
            for text in (EVIL, ODD, "1e308", "-1", "../../etc/passwd"):
                asked(client, name, dict.fromkeys(fields, text))
            asked(client, name, {fields[0]: LONG[:9_000]})
    assert "&lt;nlevil" in shown, "what was to be seen was not"


def test_shells_hold_nothing_of_their_query(dashboard: Served) -> None:
    with dashboard.client() as client:
        for page in PAGES[1:]:
            html = client.get(f"/{page.name}?q={EVIL}").text
            ours = html.count("<script")
            assert ours == client.get(f"/{page.name}").text.count("<script")
            assert "<nlevil" not in html
            assert "1337" not in html


def test_actions_take_anything(dashboard: Served) -> None:
    """Whatever a form holds, it is done or refused in words, and never fails."""
    hostile = urlencode(
        {"account": EVIL, "value": EVIL, "key": ODD, "path": LONG[:100_000]}
    ).encode()
    broken = (b"\xff\xfe", b"a=1&" * 50_000, b"")
    unknown = [(name, hostile) for name in (EVIL, "..", "")]
    first = next(iter(ACTIONS))
    with dashboard.signed_in() as client:
        for name, form in [
            *((name, hostile) for name in ACTIONS),
            *((first, form) for form in broken),
            *unknown,
        ]:
            response = client.post(f"/actions/{quote(name)}", content=form)
            assert response.status_code in (200, 400, 404, 405, 409), (name, response.text)
            assert Markup(response.text).ours, (name, response.text)
