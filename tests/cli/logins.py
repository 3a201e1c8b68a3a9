"""Homes with accounts in them, and what is said there, for the tests of `neurolink auth`."""

from __future__ import annotations

import html
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main

PASSED = 1_000_000.0
"""Long ago."""
SECRET = re.compile(r"sk-ant-\w+-test|sk-ant-test|sk-ant-\w+-\w+-\w+")


def neurolink(*arguments: str, answers: str = "") -> Result:
    """Run `neurolink auth …` in this process. What it says never holds a secret."""
    result = CliRunner().invoke(main, ["auth", *arguments], input=answers)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert not SECRET.search(result.output), result.output
    assert "Traceback" not in result.output
    return result


def entry(token: str, **fields: Any) -> dict[str, Any]:
    """One of the store: `refresh`, `ends` (seconds from now, or PASSED), `email`, `uuid`, `disabled`."""
    ends = fields.get("ends")
    moment = 0 if ends is None else PASSED if ends == PASSED else time.time() + ends
    tokens = {"accessToken": token, "expiresAt": int(moment * 1000)}
    if refresh := fields.get("refresh"):
        tokens["refreshToken"] = refresh
    uuid = fields.get("uuid")
    account = {
        "uuid": uuid,
        "organizationUuid": fields.get("organization", "o") if uuid else None,
        "email": fields.get("email"),
    }
    made = {"tokens": tokens, "account": account, "type": "oauth"}
    if reason := fields.get("disabled"):
        made["disabled"] = {"at": 0, "reason": reason}
    return made


def put(home: Path, name: str, content: str | Mapping[str, Any]) -> Path:
    """A file of the state directory, as NeuroLink would have made it."""
    path = home / ".neurolink" / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def stored(home: Path, accounts: Mapping[str, Mapping[str, Any]]) -> Path:
    providers = {f"anthropic:{label}": made for label, made in accounts.items()}
    return put(home, "tokens.json", {"version": "2.0", "providers": providers})


def kept(home: Path) -> dict[str, Any]:
    """The entries of the store by label; every file beside it is its owner's alone."""
    for path in (home / ".neurolink").iterdir():
        if path.name != "proxy-config.yaml":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    document = json.loads((home / ".neurolink" / "tokens.json").read_text())
    return {key.removeprefix("anthropic:"): made for key, made in document["providers"].items()}


def settings(url: str, **oauth: str) -> str:
    """A configuration: everything is at this sandbox."""
    own = "".join(f"  {name.replace('_', '-')}: {value}\n" for name, value in oauth.items())
    return (
        f"version: 1\ndefaultBaseUrl: {url}\noauth:\n  authorize-url: {url}/oauth/authorize\n"
        f"  token-urls: [{url}/v1/oauth/token]\n{own}"
    )


def code_from(url: str) -> str:
    """What the login page shows to be pasted."""
    found = re.search(r'<pre id="code">(.*?)</pre>', httpx.get(url).text)
    assert found, "the page shows no code"
    return html.unescape(found[1])


def page_in(said: str) -> str:
    """The address of the login page; the last one, if there are several."""
    found = re.findall(r"^\s*(https?://\S+authorize\S+)", said, re.MULTILINE)
    assert found, said
    return str(found[-1])


def environment(home: Path, **more: str) -> dict[str, str]:
    """For a process of its own."""
    checkout = str(Path(__file__).parents[2])
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm"}
    return {**own, "PYTHONPATH": checkout, **more}
