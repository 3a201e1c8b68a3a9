"""Mail addresses are in no page before somebody asks for them, also where an account is called by one."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.logs.audit import AuditRow
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow, iso
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.dashboard import mails as module
from neurolink_mitm.dashboard.mails import Mails, masked
from neurolink_mitm.dashboard.pages import PAGES
from neurolink_mitm.dashboard.render import environment
from neurolink_mitm.records.audit import changes
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.acts import act, take_back
from tests.dashboard.harness import Served, served
from tests.dashboard.test_hostile import filled
from tests.dashboard.websocket import WebSocket
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

if TYPE_CHECKING:
    from playwright.sync_api import Browser

JANE, JOHN = "jane.doe@example.com", "john.doe@example.org"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (JANE, "j…@e…"),
        (f"{JANE}, {JOHN}", "j…@e…, j…@e…·2"),
        (f"'{JANE}' and {JANE}.", "'j…@e…' and j…@e…."),
        (f"anthropic:{JANE} (work)", "anthropic:j…@e… (work)"),
        (f"{JANE}-key", "j…@e…"),
        ('{"a": "é@ü.example"}', '{"a": "é…@ü…"}'),
        ("o'brien@example.com", "o'b…@e…"),
        (f"/requests?account={JANE.replace('@', '%40')}&q=1", f"/requests?account={quote('j…@e…')}&q=1"),
        (f"?{urlencode({'account': f'a:{JANE}', 'q': 'a b'})}", f"?account=a%3A{quote('j…@e…')}&q=a+b"),
        ("claude@20250514 sdk@1.2.3 user@host @ a@", "claude@20250514 sdk@1.2.3 user@host @ a@"),
        ("100%40", "100%40"),
        ("", ""),
    ],
    ids=["one", "two alike", "in a sentence", "key", "default label of a key", "json", "apostrophe", "url",
         "query", "none", "percent", "empty"],
)  # fmt: skip
def test_masked(text: str, shown: str) -> None:
    mails = Mails()
    assert mails.mask(text) == mails.mask(text) == shown
    assert mails.mask(shown) == shown, "once is enough"


NAMES = st.text(st.sampled_from("ab.-+é@·2"), min_size=1, max_size=4)


@given(st.lists(st.builds("{}@{}.example".format, NAMES, NAMES), max_size=6), NAMES)
def test_what_is_masked_can_be_read_again(addresses: list[str], between: str) -> None:
    mails = Mails()
    text = f" {between} ".join(addresses)
    shown = mails.mask(text)
    assert mails.unmask(shown) == text
    assert len({mails.mask(each) for each in addresses}) == len(set(addresses))


def test_what_is_masked_differs_from_what_is_taken() -> None:
    assert masked(JANE) == "j…@e…"
    assert masked(JANE, {"j…@e…", "j…@e…·2"}) == "j…@e…·3"


def test_the_same_accounts_have_the_same_masks_in_any_order() -> None:
    one, other = Mails(), Mails()
    one.know([JOHN, JANE])
    other.know([JANE, JOHN])
    assert one.by_mask() == other.by_mask() == {"j…@e…": JANE, "j…@e…·2": JOHN}


def test_a_flood_of_addresses_pushes_out_those_that_are_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST", 20)
    mails = Mails()
    for number in range(50):
        mails.mask(f"{JANE} x{number}@example.com")
    assert len(mails.by_mask()) == 20
    assert mails.unmask("j…@e…") == JANE


def test_all_that_a_template_prints_is_masked() -> None:
    template = environment().from_string(
        "{{ a }} {{ a | timed }} {{ a | when }} {{ [a] | tojson }} {{ {'q': a} | urlencode }} {{ '' ~ a }}"
        '{% macro m(x) %}<b title="{{ x }}">{% endmacro %}{{ m(a) }} {{ {a: (a,)} | tojson }}'
    )
    text = template.render(a=JANE)
    assert "jane" not in text
    assert json.loads(text.rpartition(" {")[2].join(("{", ""))) == {"j…@e…": ["j…@e…"]}
    assert environment().from_string("{{ a | unmasked }}").render(a=f"<{JANE}") == f"&lt;{JANE}"


# --- in a real proxy, whose accounts are called by their mails


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The first account fails over to the second; both are stored and in the configuration, and in all rows."""
    accounts = [Account(label, f"sk-ant-test-{label}") for label in (JANE, JOHN)]
    with SandboxServer(accounts) as upstream:
        pool = [account(label, upstream.url, source="store", email=label) for label in (JANE, JOHN)]
        with served(Proxy(pool), tmp_path_factory.mktemp("mails")) as running:
            fill(running.home)
            upstream.script(JANE, Reply(429, message=f"limit of {JANE}"))
            with httpx.Client(trust_env=False, timeout=LIMIT, headers=CLAUDE_CODE) as client:
                url = f"{running.proxy.url}/v1/messages"
                assert client.post(url, json=message()).status_code == 200
            running.proxy.runtime.config_errors = (f"accounts.anthropic[0].name: {JANE}",)
            yield running


def fill(home: Home) -> None:
    home.config.write_text(
        f"version: 1\nrouting: {{accountOrder: [{JANE}, {JOHN}]}}\n"
        f"accounts: {{anthropic: [{{name: {JANE}, weight: 2}}]}}\n"
    )
    for label in (JANE, JOHN):
        TokenStore(home).save(StoredAccount(label, Secret(f"sk-ant-test-{label}"), email=label))
    home.logs.mkdir(exist_ok=True)
    now = iso(time.time() - 60)
    kinds = {"proxy": RequestRow, "proxy-attempts": AttemptRow, "audit": AuditRow}
    for family, kind in kinds.items():
        rows = [filled(kind, text, now) for text in (JANE, f"anthropic:{JOHN} after {JANE!r}")]
        (home.logs / f"{family}-{now[:10]}.jsonl").write_bytes(b"".join(rows))


def hidden(text: str) -> str:
    """Return a text that has no address, however it is written."""
    plain = unquote(html.unescape(text)).casefold()
    at = plain.find(".doe")
    assert at < 0, plain[max(0, at - 200) : at + 100]
    return text


def everything(client: httpx.Client) -> dict[str, str]:
    """Return the pages and their parts, with the queries that are linked to."""
    jane = client.get("/parts/accounts").text.partition('value="anthropic:')[2].partition('"')[0]
    query = {"account": jane, "id": f"req-{len(JANE)}", "by": "session", "hours": "24", "run": "1"}
    queries = [{}, query, {"q": jane, "since": jane, "status": jane}]
    texts = {}
    for page in PAGES:
        for part in (*page.parts, *page.pieces):
            for query in queries:
                response = client.get(f"/parts/{part.name}", params=query)
                assert response.status_code == 200
                texts[f"{part.name} {query}"] = response.text + str(response.headers)
        texts[page.name] = client.get(f"/{page.name}", params={"account": JANE}).text
    return texts


def test_no_page_has_an_address(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        texts = everything(client)
        estimate = dashboard.site.jobs.find("what-if:24")
        assert estimate
        assert estimate.ended.wait(LIMIT)
        texts["what-if, done"] = client.get("/parts/what-if?hours=24").text
        live = [part.name for page in PAGES for part in page.parts if part.live]
        with WebSocket(client).hello(*live) as socket:
            texts |= {f"live {name}": socket.part(name) for name in sorted(live)}
            dashboard.proxy.runtime.config_errors = (f"now {JOHN}",)
            texts["live, changed"] = socket.part("config-file")
    for text in texts.values():
        hidden(text)
    shown = [name for name, text in texts.items() if "j…@e…" in html.unescape(text)]
    names = {name.split(" ")[0] for name in shown}
    assert names >= {"accounts", "account", "changes", "configuration", "config-file", "history", "live", "pool",
                     "recent-requests", "request", "requests"}  # fmt: skip


def test_what_comes_back_masked_is_the_address(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        first, second = "j…@e…", "j…@e…·2"
        assert (
            client.get("/mails").json() | {first: JANE, second: JOHN} == client.get("/mails").json()
        )
        for name, fields in {
            "pause": {"account": f"anthropic:{second}", "reason": f"not {JANE}"},
            "primary": {"account": first},
            "order": {"labels": f'["{second}", "{first}"]'},
            "disable": {"account": second},
            "reset": {"account": "all"},
            "move": {"account": first, "direction": "up"},
        }.items():  # fmt: skip
            done = act(client, name, **fields)
            hidden(done.text + str(done.undo))
            if done.undo:
                back = take_back(client, done)
                assert back.done, back.text
                hidden(back.text + str(back.undo))
        assert JANE in dashboard.home.config.read_text()
        rows = [row["target"] for row in changes(dashboard.home.logs, 99)]
        assert {f"{JOHN}", JANE} <= {*rows}
        assert "…" not in str(rows)
        assert second in hidden(act(client, "pause", account=f"{JOHN}x").text)
        assert f"req-{len(JANE)}" in client.get("/parts/requests", params={"account": first}).text
        assert "No such request" in client.get("/parts/requests", params={"account": "j…@x…"}).text


def test_addresses_are_for_sessions(dashboard: Served) -> None:
    with dashboard.client() as stranger:
        assert (stranger.get("/mails").status_code, stranger.get("/mails").text) == (401, "{}")


@pytest.mark.real("browser")
def test_who_asks_sees_them(dashboard: Served, browser: Browser) -> None:
    """In all that is there, and in what comes later; another tab has not asked."""
    from tests.dashboard.chromium import tab

    with tab(browser, dashboard, "/accounts", viewport={"width": 360, "height": 700}) as opened:
        page = opened.page
        page.wait_for_selector("#part-accounts >> text=j…@e…·2")
        assert JANE not in page.content()
        page.click("text=Show mail addresses")
        page.wait_for_selector(f"#part-accounts >> text={JANE}")
        page.wait_for_selector(f"#part-accounts >> text={JOHN}")
        page.locator("#part-accounts tr", has_text=JOHN).locator("text=Manage").click()
        page.click("dialog >> text=Until I resume it")
        page.wait_for_selector(f"#toasts >> text=paused '{JOHN}'")
        page.click("#toasts >> text=Undo")
        page.wait_for_selector(f"#toasts >> text=resumed '{JOHN}'")
        page.goto(f"{dashboard.url}/configuration")
        page.wait_for_selector("#connection[data-state=live]")
        page.wait_for_selector("#part-configuration >> text=Find a key")
        dashboard.proxy.runtime.config_errors = (f"of {JOHN}",)
        page.wait_for_selector(f"#part-config-file >> text=of {JOHN}")
        page.goto(f"{dashboard.url}/history")
        page.wait_for_selector(f"#part-history >> text={JANE}")
        page.goto(f"{dashboard.url}/requests")
        page.click(f"#part-requests tbody >> text={JANE} >> nth=0")
        other = page.context.new_page()
        other.goto(f"{dashboard.url}/accounts")
        other.wait_for_selector("#part-accounts >> text=j…@e…·2")
        assert JANE not in other.content()
        page.goto(f"{dashboard.url}/accounts")
        page.click("text=Hide mail addresses")
        page.wait_for_selector("#part-accounts >> text=j…@e…·2")
        assert JANE not in page.content()
