from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest

from neurolink_mitm.adapters.token_store import open_store
from neurolink_mitm.app.background import BackgroundTasks
from neurolink_mitm.config.apply import apply
from neurolink_mitm.config.history import digest
from neurolink_mitm.config.proposal import LARGEST_EDITED
from neurolink_mitm.config.reloader import Reloader
from neurolink_mitm.config.sources import SourceOptions, Sources
from neurolink_mitm.dashboard.actions import configuration
from neurolink_mitm.ports import Runtime
from neurolink_mitm.records.audit import changes
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.dashboard.harness import served
from tests.flows.harness import LIMIT, Proxy, account

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TEXT = """\
# mine
version: 1
dashboard: {port: 0}   # any
accounts:
  anthropic:
    - name: a
      apiKey: hunter2-in-plain-text   # the plan
    - {name: b, apiKey: hunter3-in-plain-text, weight: 2}
routing: {hold: "${HOLD}"}
notify: {webhook: "https://example.com/hook", secret: "0123456789abcdef"}
timeouts:
  idle: 300 # long
"""


class Watched:
    """The dashboard of a proxy that is made from a file, and follows it."""

    def __init__(self, upstream: SandboxServer, tmp_path: Path) -> None:
        self.proxy = Proxy([])
        self.served = served(self.proxy, tmp_path)
        self.file = self.served.home.config
        self.options = SourceOptions(
            environ={"HOLD": "5", "HOME": str(tmp_path)},
            accounts=(account("a", upstream.url), account("b", upstream.url)),
        )
        self.proxy.change = self._change
        self.proxy.addons = lambda runtime: [*stack(runtime), _Reloading(self)]

    def _change(self, runtime: Runtime) -> None:
        self.file.write_text(TEXT)
        home = self.served.home
        sources = Sources(self.options, home, open_store(home, self.options.environ))
        apply(runtime, sources.read())
        self.reloader = Reloader(runtime, sources)

    def write(self, text: str) -> None:
        """Write the file, and have it taken over."""
        self.file.write_text(text)
        reloaded = asyncio.run_coroutine_threadsafe(self.reloader.reload(), self.proxy.loop)
        reloaded.result(LIMIT)

    def restore(self) -> None:
        """Bring the file back to where it was, and forget what was done."""
        for each in (
            *self.served.home.config_history.glob("*"),
            *self.served.home.logs.glob("audit-*"),
        ):
            each.unlink()
        self.write(TEXT)

    def audit(self) -> list[tuple[str, object, object]]:
        return [
            (row["action"], row["before"], row["after"])
            for row in changes(self.served.home.logs, 9)
        ]


class _Reloading:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def running(self) -> None:
        self._tasks = BackgroundTasks({"reload": self._watched.reloader.run})
        await self._tasks.start()

    async def done(self) -> None:
        await self._tasks.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with SandboxServer([]) as upstream:
        watched = Watched(upstream, tmp_path_factory.mktemp("home"))
        with watched.served:
            watched.served.site.options = watched.options
            yield watched


@pytest.fixture
def watched(running: Watched) -> Watched:
    running.restore()
    return running


@pytest.fixture
def client(watched: Watched) -> Iterator[httpx.Client]:
    with watched.served.signed_in() as client:
        yield client


def form_of(client: httpx.Client) -> dict[str, str]:
    """Return what the page's form sends when nothing was touched."""
    html = client.get("/parts/configuration").text
    form = html[html.index('id="config-form"') :]
    named = {}
    for each in re.findall(r"<input([^>]*)>", form):
        attributes = dict(re.findall(r'(name|value|type)="([^"]*)"', each))
        if attributes.get("type") != "checkbox" or " checked" in each:
            named[attributes["name"]] = attributes["value"]
    return {name: value.replace("&#34;", '"') for name, value in named.items()}


def check(client: httpx.Client, fields: Mapping[str, str]) -> str:
    response = client.get("/parts/configuration?" + urlencode(fields))
    assert response.status_code == 200, response.text
    return response.text


def act(client: httpx.Client, name: str, fields: Mapping[str, str]) -> httpx.Response:
    return client.post(f"/actions/{name}", data=dict(fields))


def hidden(html: str, action: str) -> dict[str, str]:
    """Return the hidden fields of an action's button."""
    form = html[html.index(f"/actions/{action}") :]
    form = form[: form.index("</form>")]
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form))


def test_all_values_are_shown_and_no_secret(client: httpx.Client) -> None:
    html = client.get("/parts/configuration").text
    assert "hunter" not in html
    assert "0123456789abcdef" not in html
    for text in (
        "file: ${HOLD}",
        "**********",
        "rollupDays",
        "it runs a command, or names a host",
        "fingerprint",
    ):
        assert text.lower() in html.lower()
    assert re.search(r'name="timeouts.idle"[^>]*value="300"', html)
    assert "Nothing is changed" in check(client, form_of(client))


def test_an_edit_is_checked_shown_applied_and_undone(
    watched: Watched, client: httpx.Client
) -> None:
    form = form_of(client) | {"timeouts.idle": "two", "accounts.anthropic.b.weight": "-1"}
    html = check(client, form)
    assert "timeouts.idle: must be a number of seconds" in html
    assert "accounts.anthropic[1].weight: must be a number &gt; 0" in html
    assert "apply-configuration" not in html
    html = check(client, form | {"timeouts.idle": "60", "accounts.anthropic.b.weight": "3"})
    assert "timeouts.idle: 300 -&gt; 60" in html
    assert "<del>- 12    idle: 300 # long</del>" in html
    assert "{name: b, apiKey: **********, weight: 3}" in html
    assert "hunter" not in html
    done = act(client, "apply-configuration", hidden(html, "apply-configuration"))
    assert done.status_code == 200, done.text
    assert "in force: timeouts.idle: 300 -&gt; 60" in done.text
    assert watched.file.read_text() == TEXT.replace("idle: 300", "idle: 60").replace(
        "weight: 2", "weight: 3"
    )
    assert watched.served.site.config.timeouts.idle == 60
    undone = act(client, "undo-configuration", hidden(done.text, "undo-configuration"))
    assert undone.status_code == 200, undone.text
    assert (watched.file.read_text(), watched.served.site.config.timeouts.idle) == (TEXT, 300)
    old = {"timeouts.idle": 300, "accounts.anthropic.b.weight": 2}
    new = {"timeouts.idle": 60, "accounts.anthropic.b.weight": 3}
    assert watched.audit() == [("config edit", old, new), ("config undo", new, old)]
    again = act(client, "undo-configuration", hidden(done.text, "undo-configuration"))
    assert (again.status_code, "no edit to undo" in again.text) == (409, True)


def test_lists_tables_and_switches(watched: Watched, client: httpx.Client) -> None:
    fields = {
        "digest": digest(TEXT.encode()),
        "routing.accountOrder": " b \r\n\r\na\r\n",
        "routing.sessionAffinity": "0",
        "routing.strategy": "round-robin",
        "routing.fallbackChain.0.provider": "openai",
        "routing.fallbackChain.0.model": "gpt-4o: x",
        "routing.fallbackChain.1.provider": "",
        "routing.fallbackChain.1.model": "",
        "routing.modelMappings.0.from": "x-*",
        "routing.modelMappings.0.to": "y",
        "routing.modelMappings.0.provider": "",
        "routing.hold": "",
    }
    done = act(client, "apply-configuration", fields)
    assert done.status_code == 200, done.text
    routing = watched.served.site.config.routing
    assert (routing.account_order, routing.session_affinity, routing.strategy) == (
        ("b", "a"),
        False,
        "round-robin",
    )
    assert (routing.fallback_chain[0].model, routing.model_mappings[0].provider) == (
        "gpt-4o: x",
        "anthropic",
    )
    assert (routing.hold, len(routing.fallback_chain)) == (0, 1)
    act(client, "undo-configuration", {})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"notify.command": "sh"}, "nothing to write"),
        ({"accounts.anthropic.a.baseUrl": "http://evil.example"}, "nothing to write"),
        ({"accounts.anthropic.zoe.weight": "2"}, "nothing to write"),
        ({"routing.primaryAccount": "${ANTHROPIC_API_KEY}"}, "in the file only"),
        ({"routing.passthroughModels": "a\u2028b\x00c"}, "printable"),
        ({"routing.dailyCapUsd": "1e999"}, "must be a number"),
        ({"timeouts.idle": "nan"}, "must be a number"),
        ({"logging.captureBodies": "everything"}, "must be one of"),
        ({"routing.modelMappings.0.from": "x"}, "must not be empty"),
        ({"timeouts.idle": "60", "digest": "0"}, "changed meanwhile"),
    ],
    ids=str,
)
def test_what_is_not_to_be_written_is_refused(
    watched: Watched, client: httpx.Client, fields: Mapping[str, str], text: str
) -> None:
    response = act(client, "apply-configuration", {"digest": digest(TEXT.encode()), **fields})
    assert text in response.text
    assert watched.file.read_text() == TEXT
    assert watched.audit() == []


def test_a_file_that_was_changed_meanwhile_stays(watched: Watched, client: httpx.Client) -> None:
    html = check(client, form_of(client) | {"timeouts.idle": "60"})
    watched.file.write_text(TEXT + "# by hand\n")
    apply_fields = hidden(html, "apply-configuration")
    assert act(client, "apply-configuration", apply_fields).status_code == 409
    assert "changed meanwhile" in check(
        client, form_of(client) | {"digest": apply_fields["digest"]}
    )
    done = act(
        client,
        "apply-configuration",
        apply_fields | {"digest": digest((TEXT + "# by hand\n").encode())},
    )
    assert done.status_code == 200, done.text
    watched.file.write_text("version: 1\nnotify: {desktop: true}\ndashboard: {port: 0}\n")
    undo = hidden(done.text, "undo-configuration")
    assert "changed meanwhile" in act(client, "undo-configuration", undo).text
    assert (
        "more than what may be edited"
        in act(client, "undo-configuration", {**undo, "force": "1"}).text
    )
    watched.file.write_text(TEXT.replace("300", "9"))
    assert act(client, "undo-configuration", {**undo, "force": "1"}).status_code == 200
    assert watched.file.read_text() == TEXT + "# by hand\n"
    assert act(client, "undo-configuration", {}).status_code == 200
    assert watched.file.read_text() == TEXT.replace("300", "9")


def test_a_broken_file_and_a_full_disk_are_said(
    watched: Watched, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"digest": digest(TEXT.encode()), "timeouts.idle": "60"}

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("neurolink_mitm.config.history.write_atomic", full)
        response = act(client, "apply-configuration", fields)
    assert (response.status_code, "No space left on device" in response.text) == (409, True)
    assert watched.file.read_text() == TEXT
    watched.file.chmod(0o400)
    assert "is read-only" in act(client, "apply-configuration", fields).text
    watched.file.chmod(0o600)
    watched.file.write_text("routing: [\n")
    html = client.get("/parts/configuration").text
    assert ("can't be edited" in html, "line 2" in html) == (True, True)
    assert (
        act(
            client, "apply-configuration", {**fields, "digest": digest(b"routing: [\n")}
        ).status_code
        == 409
    )


def test_a_file_that_is_gone_is_not_made_of_one_edit(
    watched: Watched, client: httpx.Client
) -> None:
    for content in (b"", None):
        watched.file.unlink() if content is None else watched.file.write_bytes(content)
        assert "its last values are in force" in client.get("/parts/configuration").text
        fields = {"digest": digest(content), "timeouts.idle": "60"}
        assert act(client, "apply-configuration", fields).status_code == 409
        assert act(client, "set-strategy", {"strategy": "quota-aware"}).status_code == 409
        assert watched.file.exists() == (content is not None)


def test_a_large_file_is_shown_and_edited_elsewhere(watched: Watched, client: httpx.Client) -> None:
    watched.write(TEXT + "#\n" * LARGEST_EDITED)
    content = watched.file.read_bytes()
    html = client.get("/parts/configuration").text
    assert ("larger than 64 KB" in html, "Check the changes" in html) == (True, False)
    fields = {"digest": digest(content), "timeouts.idle": "60"}
    for action in ("apply-configuration", "set-strategy"):
        response = act(client, action, {**fields, "strategy": "quota-aware"})
        assert (response.status_code, "edit it in the file" in response.text) == (409, True)
    assert watched.file.read_bytes() == content


def test_read_only_shows_all_and_writes_nothing(watched: Watched, client: httpx.Client) -> None:
    watched.write(TEXT.replace("{port: 0}", "{port: 0, read-only: true}"))
    html = check(client, {"digest": digest(watched.file.read_bytes()), "timeouts.idle": "60"})
    assert "timeouts.idle: 300 -&gt; 60" in html
    assert ('hx-post="/actions/' in html, "Check the changes" in html) == (False, False)
    for action in ("apply-configuration", "undo-configuration", "set-strategy"):
        assert act(client, action, {"strategy": "quota-aware"}).status_code == 403


def test_the_command_line_goes_before_the_file(watched: Watched, client: httpx.Client) -> None:
    watched.served.site.options = replace(watched.options, strategy="round-robin")
    html = client.get("/parts/configuration").text
    assert "command line: --strategy round-robin" in html
    done = act(client, "set-strategy", {"strategy": "quota-aware"})
    assert "--strategy round-robin, which stays in force" in done.text
    watched.served.site.options = watched.options


def test_of_many_accounts_one_is_shown(watched: Watched, client: httpx.Client) -> None:
    entries = "".join(f"    - {{name: 'n{n}', apiKey: k}}\n" for n in range(30))
    watched.write(f"version: 1\ndashboard: {{port: 0}}\naccounts:\n  anthropic:\n{entries}")
    assert "accounts.anthropic.n7.weight" not in client.get("/parts/configuration").text
    html = client.get("/parts/configuration?account=n7").text
    assert ("accounts.anthropic.n7.weight" in html, "accounts.anthropic.n8.weight" in html) == (
        True,
        False,
    )


def test_the_strategy_is_switched(watched: Watched, client: httpx.Client) -> None:
    assert act(client, "set-strategy", {"strategy": "sideways"}).status_code == 409
    done = act(client, "set-strategy", {"strategy": "quota-aware"})
    assert watched.served.site.runtime.pool.strategy == "quota-aware"
    assert "already" in act(client, "set-strategy", {"strategy": "quota-aware"}).text
    act(client, "undo-configuration", hidden(done.text, "undo-configuration"))
    assert watched.served.site.runtime.pool.strategy == "fill-first"


def test_what_the_proxy_does_not_take_over_is_said(
    watched: Watched, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "_wait", lambda until: False)
    done = act(client, "set-strategy", {"strategy": "quota-aware"})
    assert "has not taken it over yet" in done.text


@pytest.mark.real("browser")
def test_a_timeout_is_edited_in_a_browser(watched: Watched, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, watched.served, "/configuration") as opened:
        page = opened.page
        opened.expected.append("413")
        page.get_by_label("passthroughModels").fill("x" * 300_000)
        page.get_by_role("button", name="Check the changes").click()
        page.locator(".toast", has_text="too large to be sent").get_by_label("Close").click()
        page.get_by_label("passthroughModels").fill("x" * 100_000)  # too long for an address
        page.get_by_label("total", exact=True).fill("two")
        page.get_by_role("button", name="Check the changes").click()
        page.get_by_role("link", name="timeouts.total: must be").click()
        field = page.get_by_label("total", exact=True)
        assert field.evaluate("each => each === document.activeElement")
        assert field.get_attribute("aria-invalid") == "true"
        page.get_by_label("passthroughModels").fill("")
        field.fill("7")
        page.keyboard.press("Enter")
        page.get_by_text("timeouts.total: 900 -> 7").wait_for()
        page.get_by_role("button", name="Apply").click()
        page.get_by_text("in force: timeouts.total").wait_for()
        assert watched.served.site.config.timeouts.total == 7
        page.get_by_role("button", name="Undo", exact=True).click()
        page.get_by_text("undone").wait_for()
        assert (watched.file.read_text(), watched.served.site.config.timeouts.total) == (TEXT, 900)
        watched.file.write_text(TEXT.replace("idle: 300", "idle: 77"))  # by hand
        page.locator('[name="timeouts.idle"][value="77"]').wait_for()
        page.get_by_label("Find a key").fill("rollup")
        assert page.locator(".setting:visible").count() == 1
