from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.core.providers.translator import (
    Access,
    Setup,
    read_setup,
    request_fields,
    setup_for,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Provider

KEY = "test-key-of-openai"
ENVIRON = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": "sk-ant-test-1"}


def test_a_provider_is_reached_by_the_environment_and_the_configuration() -> None:
    settings = {"openai": Provider("http://x/v1", None, "chat")}
    made = setup_for({"openai", "ollama"}, settings, ENVIRON, "s")
    assert made.providers == {"openai": Access(KEY, "http://x/v1", "chat"), "ollama": Access()}


def test_a_key_of_the_configuration_goes_first() -> None:
    settings = {"openai": Provider(api_key=Secret("own"))}
    assert setup_for({"openai"}, settings, ENVIRON, "s").providers["openai"].api_key == "own"


def test_only_what_is_named_is_in_it() -> None:
    assert set(setup_for({"ollama"}, {}, ENVIRON, "s").providers) == {"ollama"}


def test_who_is_asked_for_embeddings_alone_stands_apart() -> None:
    """So that nothing is imported for them before somebody asks."""
    made = setup_for({"ollama"}, {}, ENVIRON, "s", ("openai", "ollama"))
    assert (set(made.providers), made.embeddings) == ({"ollama"}, {"openai": Access(KEY)})
    assert made.access("openai") == Access(KEY)
    assert made.access("ollama") == made.access("mistral") == Access()


def test_nothing_of_anthropics_is_in_it() -> None:
    line = msgspec.json.encode(setup_for({"openai", "ollama"}, {}, ENVIRON, "s"))
    assert b"sk-ant" not in line


def test_it_is_read_as_it_was_written() -> None:
    made = Setup("s", {"openai": Access(KEY, None, "responses")})
    assert read_setup(msgspec.json.encode(made)) == made


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"secret": 1}', b"\xff"])
def test_a_line_that_is_none_is_an_error(line: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        read_setup(line)


@pytest.mark.parametrize("shown", [Access(KEY), Setup("test-secret", {"openai": Access(KEY)})])
def test_no_secret_is_shown(shown: object) -> None:
    assert KEY not in repr(shown)
    assert "test-secret" not in repr(shown)


def test_the_headers_of_a_request() -> None:
    assert dict(request_fields("s", 4712, "openai", "a/b ü", 7)) == {
        b"host": b"127.0.0.1:4712",
        b"content-type": b"application/json",
        b"content-length": b"7",
        b"authorization": b"Bearer s",
        b"x-neurolink-provider": b"openai",
        b"x-neurolink-model": b"a/b%20%C3%BC",
    }
