"""The schema takes what the program takes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from neurolink_mitm.config.document import parse
from neurolink_mitm.config.schema import entries, schema
from neurolink_mitm.core.settings.errors import ConfigError

ENV = {"KEY": "sk-ant-test-key", "NUMBER": "5", "OFF": "false"}


def account(**settings: Any) -> dict[str, Any]:
    return {"accounts": {"anthropic": [{"name": "a", **settings}]}}


GOOD: list[dict[str, Any]] = [
    {},
    {"accounts": None, "clients": None},
    {"timeouts": {"first-event": 5, "idle": "${NUMBER}"}},
    {"timeouts": {"firstEvent": 5}},
    account(apiKey="${KEY}", maxConcurrent=2, metadata={"any": ["thing"]}),
    account(**{"api-key": "${KEY}", "max-concurrent": "${NUMBER}", "rate-limit": None}),
    {"cloaking": {"plugins": {"session-identity": False, "header-scrubber": "${OFF}"}}},
    {"cloaking": {"plugins": {"headerScrubber": {"headers": ["x-*"]}}}},
    {"providers": {"groq": {"base-url": "http://127.0.0.1"}}},
    {"prices": {"claude-*": {"input": 1, "output": "${NUMBER}", "cacheWrite5m": 0}}},
    {"prices": {"gpt": {"input": 1, "output": 2, "cache-write-1h": 0.5, "cache-read": None}}},
    {"logging": {"capture-bodies": False}},
    {"routing": {"model-mappings": [{"from": "a", "to": "b"}]}},
]
BAD: list[dict[str, Any]] = [
    {"nonsense": 1},
    {"timeouts": {"idle": "soon"}},
    {"timeouts": {"idle": -1}},
    {"version": 2},
    {"routing": {"strategy": "nonsense"}},
    {"accounts": {"anthropic": [{"name": ""}]}},
    account(weight="two"),
    account(maxConcurrent=1.5),
    {"cloaking": {"plugins": {"sessionIdentity": 1}}},
    {"prices": {"gpt": {"input": 1}}},
    {"prices": {"gpt": {"input": 1, "output": -1}}},
    {"prices": {"gpt": {"input": 1, "output": 2, "cached": 1}}},
    {"logging": {"capture-bodies": True}},
    {"routing": {"model-mappings": [{"from": "a"}]}},
]


def is_valid(document: object) -> bool:
    valid: bool = jsonschema.Draft202012Validator(schema()).is_valid(document)
    return valid


@pytest.mark.parametrize("document", GOOD, ids=json.dumps)
def test_what_is_good(document: dict[str, Any]) -> None:
    parse(document, ENV)
    assert is_valid(document)


@pytest.mark.parametrize("document", BAD, ids=json.dumps)
def test_what_is_bad(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse(document, ENV)
    assert not is_valid(document)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_key_has_a_meaning() -> None:
    assert all(entry.meaning for entry in entries())


def test_both_spellings_say_what_a_key_means() -> None:
    timeouts = schema()["$defs"]["Timeouts"]["properties"]
    assert timeouts["first-event"] == timeouts["firstEvent"]
    assert timeouts["firstEvent"]["description"].startswith("From the request")
