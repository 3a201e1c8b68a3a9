from __future__ import annotations

from neurolink_mitm.core.openai.session import session_of


def test_the_clients_key_counts_first() -> None:
    assert session_of("k", b"a") == "k"
    assert session_of("k" * 999, b"a") == "k" * 256


def test_a_conversation_is_known_by_its_beginning() -> None:
    assert session_of(None, b"a") == session_of("", b"a") != session_of(None, b"b")
    assert session_of(None, b"") is None


def test_long_beginnings_differ_by_their_length() -> None:
    long = b"a" * (1 << 17)
    assert session_of(None, long) == session_of(None, long[:-1] + b"b")
    assert session_of(None, long) != session_of(None, long + b"a")
