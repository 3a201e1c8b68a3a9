from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.responses.reasoning import encrypted_content
from neurolink_mitm.core.redact.body import redact_body, redact_fields
from neurolink_mitm.core.redact.token_formats import FORMS, Form
from neurolink_mitm.core.shaping.detectors import KINDS

MASK = "***"
WORD = st.text("ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789_-", min_size=20, max_size=60)
TOKENS = st.one_of(
    WORD.map("sk-ant-api03-{}".format),
    WORD.map("sk-ant-oat01-{}".format),
    WORD.map("sk-nl-{}".format),
    WORD.map("sk-proj-{}".format),
    st.tuples(WORD, WORD).map(lambda parts: f"eyJ{parts[0]}.{parts[1]}."),
    WORD.map(lambda text: "ghp_" + text.replace("_", "0").replace("-", "1")),
)
OPAQUE = st.text(min_size=8, max_size=40).map(lambda text: f"Zq9{text}9qZ")
"""A secret that looks like nothing: known by its name only."""
NAMES = st.sampled_from(
    ["authorization", "Authorization", "x-api-key", "cookie", "set-cookie", "access_token",
     "refresh_token", "accessToken", "refreshToken", "api_key", "apiKey", "api-key", "client_secret",
     "password", "code_verifier"]
)  # fmt: skip
PLAIN = st.text(max_size=30)
DOCUMENTS = st.recursive(
    PLAIN | st.integers() | st.booleans() | st.none(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(PLAIN, below, max_size=4),
    max_leaves=12,
)


def dumped(value: object, depth: int = 0, *, ascii: bool = True) -> str:
    """As JSON; with a depth, as JSON in a string of JSON, so often."""
    text = json.dumps(value, ensure_ascii=ascii)
    return dumped({"arguments": text}, depth - 1, ascii=ascii) if depth else text


@given(TOKENS, PLAIN, PLAIN, DOCUMENTS, st.integers(0, 2), st.booleans())
def test_no_token_gets_through(
    token: str, before: str, after: str, rest: object, depth: int, ascii: bool
) -> None:
    text = dumped({"a": rest, "b": [f"{before} {token} {after}"]}, depth, ascii=ascii)
    found = redact_body(text)
    assert token not in found
    json.loads(found)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.starts[0])
@settings(max_examples=10)  # of each form
@given(st.data())
def test_no_form_of_token_gets_through(form: Form, data: st.DataObject) -> None:
    """Nor does the obfuscator's detector overlook one."""
    token = data.draw(st.from_regex(form.expression, fullmatch=True))
    before = data.draw(
        st.sampled_from(["", "\n", "\t", '"', "\\", "/", "=", "(", "'", "é ", "export X="])
    )
    text = dumped({"a": f"x {before}{token} y"}, data.draw(st.integers(0, 2)))
    found = redact_body(text)
    assert token not in found
    json.loads(found)
    assert list(KINDS["key"].find(f"x {token} y"))
    assert KINDS["key"].may(f"x {token} y")


PEM = "-----BEGIN RSA PRIVATE KEY-----\n{}-----END RSA PRIVATE KEY-----\n"
LINES = st.lists(st.text("ABCabc019+/=", min_size=1, max_size=64), min_size=1, max_size=6)


@given(LINES, st.integers(0, 2), st.sampled_from(["{}\n", "{}\r\n", "{}\r", "     2→{}\n", "{}|"]))
def test_no_private_key_gets_through(lines: list[str], depth: int, form: str) -> None:
    secret = ["Zq9" + line for line in lines]
    pem = PEM.format("Proc-Type: 4,ENCRYPTED\n" + "".join(map(form.format, secret)))
    found = redact_body(dumped({"a": pem, "b": "rest"}, depth))
    assert "Zq9" not in found
    assert "rest" in found
    json.loads(found)
    assert "Zq9" not in redact_body(pem)
    assert "Zq9" not in redact_body(pem[: -len(PEM)])


@given(TOKENS, st.sampled_from(["\n", "\t", '"', "\\", "/", "é", "=", "(", "'"]))
def test_not_even_behind_an_escape(token: str, before: str) -> None:
    """The n of `\\n` is no letter before it."""
    assert token not in redact_body(json.dumps(f"x{before}{token}"))


@given(NAMES, OPAQUE, DOCUMENTS, DOCUMENTS, st.integers(0, 2), st.booleans())
def test_no_named_secret_gets_through(
    name: str, secret: str, before: object, after: object, depth: int, ascii: bool
) -> None:
    text = dumped({"a": before, "b": {name: secret}, "c": after}, depth, ascii=ascii)
    found = redact_body(text)
    assert "Zq9" not in found
    value: Any = json.loads(found)
    for _ in range(depth):
        value = json.loads(value["arguments"])
    assert value["b"] == {name: MASK}


@given(NAMES, OPAQUE, st.integers(1, 30))
def test_what_is_cut_off_does_not_get_through(name: str, secret: str, cut: int) -> None:
    """A body that is stored in part may end in the middle of a secret."""
    text = json.dumps({name: secret})
    assert "Zq9" not in redact_body(text[: max(len(text) - cut, len(name) + 10)])


@given(DOCUMENTS)
def test_what_was_valid_stays_valid(document: object) -> None:
    json.loads(redact_body(json.dumps(document)))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET /x?api_key=hunter2&b=1", "GET /x?api_key=***&b=1"),
        ('{"url":"https://h/?key=hunter2"}', '{"url":"https://h/?key=***"}'),
        ("refresh_token=hunter2&client_id=1", "refresh_token=***&client_id=1"),
        ("a=1&access_token=hunter2", "a=1&access_token=***"),
        ("curl -H 'x-api-key: hunter2' http://h", "curl -H 'x-api-key: ***' http://h"),
        ("Authorization: Basic hunter2\r\nA: b", "Authorization: Basic ***\r\nA: b"),
        ("Cookie: a=hunter2; b=hunter2\nX: y", "Cookie: ***\nX: y"),
        ('{"a":"Cookie: a=hunter2; b=1\\nX: y"}', '{"a":"Cookie: ***\\nX: y"}'),
        ("export OPENAI_API_KEY=hunter2", "export OPENAI_API_KEY=***"),
        ('GH_TOKEN=\\"hunter2\\"', 'GH_TOKEN=\\"***\\"'),
        ("export MY_SECRET_KEY=hunter2", "export MY_SECRET_KEY=***"),
        ("  POSTGRES_PASSWORD: hunter2\n  A: b", "  POSTGRES_PASSWORD: ***\n  A: b"),
        ("SECRET_KEY = 'hunterhunter'", "SECRET_KEY = '***'"),
        ('{"a":"DB_PASSWORD = \\"hunterhunter\\"\\n"}', '{"a":"DB_PASSWORD = \\"***\\"\\n"}'),
        (f"aws_secret_access_key = {'hunter2/' * 5}\n", "aws_secret_access_key = ***\n"),
        (f"AccountKey={'hunter2+' * 10}ab==;Endpoint=x", "AccountKey=***;Endpoint=x"),
        ("curl -u me:hunter2 http://h", "curl -u me:*** http://h"),
        ('"curl --user \\"me:hunter2\\" http://h"', '"curl --user \\"me:***\\" http://h"'),
        ("postgres://me:hunter2@db/x", "postgres://me:***@db/x"),
        ('{"api-keys": ["hunter2", "hunter2b"]}', '{"api-keys": ["***"]}'),
        ('{"x":"{\\"api_keys\\": [\\"hunter2\\"]}"}', '{"x":"{\\"api_keys\\": [\\"***\\"]}"}'),
        ('{"password" : "a\\"hunter2"}', '{"password" : "***"}'),
        ('{"token":"hunter2\\\\","a":"b"}', '{"token":"***","a":"b"}'),
    ],
)  # fmt: skip
def test_secrets_by_their_place(text: str, left: str) -> None:
    assert redact_body(text) == left


@pytest.mark.parametrize(
    "text",
    [
        '{"max_tokens": 1024, "usage": {"input_tokens": 3, "output_tokens": 4}}',
        '{"input_tokens":"12"}',
        '{"properties":{"password":{"type":"string"}}}',
        "MAX_TOKENS=32000",
        '{"model":"claude-sonnet-4-6","text":"risk-assessment-of-something-long-enough"}',
        '{"type":"rate_limit_error","code":"rate_limited"}',
        "docker run -u 1000:1000 x; sort -u a:b",
        "SECRET_KEY = os.environ['X']; PASSWORD = get_password(1); TOKEN: TypeAlias",
        "PASSWORD: ${DB_PASSWORD}; MAX_TOKEN = 100000; TOKEN = settings.TOKEN",
        "grep -e '-----BEGIN RSA PRIVATE KEY-----' file",
        "sk_learn_model hf_hub_download npm_config_registry gh_token SG.example hvac.client r8_x",
        "through the global shape: high-lights; xai-org/grok; discord.com/invite/x; pypi-publish",
        "the cookie jar; a secret place; key=lambda item: item",
        "toolu_01A09q90qw90lq917835lq9",
        "https://example.com:8080/path@x",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_body(text) == text


def thought(words: str) -> str:
    return encrypted_content(
        json.dumps({"type": "thinking", "thinking": words, "signature": "s"}).encode()
    )


def test_a_secret_in_thinking_that_is_packed_for_the_client() -> None:
    """`encrypted_content` of our responses is Base64, which anybody can undo."""
    safe, bad = thought("all is well"), thought("the key is sk-ant-test-abcd")
    text = json.dumps({"a": safe, "b": bad, "c": json.dumps({"d": bad}), "e": "nl1.eyes.example"})
    assert redact_body(text) == text.replace(bad, MASK)
    assert redact_body(text[: text.index(bad) + 60]).endswith(MASK)
    assert redact_body(f'"{thought("hunter2")}"', ("hunter2",)) == f'"{MASK}"'


def test_fields() -> None:
    fields = (
        (b"Authorization", b"Bearer hunter2"),
        (b"X-Api-Key", b"hunter2"),
        (b"set-cookie", b"a=hunter2"),
        (b"x-goog-api-key", b"hunter2"),
        (b"anthropic-ratelimit-tokens-remaining", b"17"),
        (b"location", b"/x?token=hunter2"),
        (b"x-odd", b"\xff sk-ant-test-abc"),
    )
    assert redact_fields(fields) == [
        ("Authorization", MASK),
        ("X-Api-Key", MASK),
        ("set-cookie", MASK),
        ("x-goog-api-key", MASK),
        ("anthropic-ratelimit-tokens-remaining", "17"),
        ("location", "/x?token=***"),
        ("x-odd", "\\xff ***"),
    ]
