"""A Redis that others could reach and change is a fault."""

from __future__ import annotations

import pytest

from neurolink_mitm.config.document import parse
from neurolink_mitm.core.settings.errors import ConfigError

ENV = {"PASSWORD": "a-password", "EMPTY": "", "YES": "true"}


def faults(url: object, **cluster: object) -> list[str]:
    try:
        parse({"cluster": {"url": url, **cluster}}, ENV)
    except ConfigError as e:
        return list(e.faults)
    return []


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.2:7000/3",
        "redis://localhost:6379",
        "redis://LOCALHOST",
        "redis://[::1]:6379/0",
        "redis://:a-password@redis.example",
        "redis://:${PASSWORD}@redis.example",
        "redis://me:a-password@10.0.0.1:6379/0",
        "rediss://redis.example",
    ],
)
def test_this_machine_a_password_or_tls_will_do(url: str) -> None:
    assert faults(url) == []


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.example:6379/0",
        "redis://10.0.0.1",
        "redis://0.0.0.0",
        "redis://me@redis.example",
        "redis://:@redis.example",
        "redis://:${EMPTY}@redis.example",
        "redis://127.0.0.1.redis.example",
        "redis://[::ffff:10.0.0.1]",
    ],
)
def test_else_it_is_a_fault_unless_it_is_meant(url: str) -> None:
    (fault,) = faults(url)
    assert fault.startswith("cluster.url: must have a password")
    assert "insecure: true" in fault
    assert faults(url, insecure=True) == []
    assert faults(url, insecure="${YES}") == []
    assert faults(url, insecure=False) == [fault]


@pytest.mark.parametrize(
    "url", [3, "", "http://h", "redis://h:99999999", "redis://[", "redis://h/x", ["redis://h"]]
)
def test_a_wrong_url_is_one_fault_without_its_text(url: object) -> None:
    (fault,) = faults(url)
    assert "redis://h" not in fault


def test_a_password_is_not_in_the_text_of_a_fault() -> None:
    assert "a-password" not in repr(faults("redis://:a-password@h/x"))
    assert "a-password" not in repr(faults("redis://:a-password@h:port"))
    assert "a-password" not in repr(faults("redis://:a-password@[::1"))


def test_an_unset_variable_is_one_fault_that_names_it() -> None:
    (fault,) = faults("${REDIS_URL}")
    assert "REDIS_URL is not set" in fault
