from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings import notify, shaping, values
from neurolink_mitm.core.settings.values import AccountConfig, Config, Routing, Timeouts

SECTIONS = [
    kind
    for module in (notify, shaping, values)
    for kind in vars(module).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_sections_are_frozen(kind: type) -> None:
    section: object = object.__new__(kind)
    with pytest.raises(FrozenInstanceError):
        setattr(section, fields(kind)[0].name, 1)


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_sections_have_no_room_for_mistyped_attributes(kind: type) -> None:
    assert "__dict__" not in dir(kind)


def test_programs_build_them_by_name() -> None:
    config = Config(routing=Routing(strategy="round-robin"), timeouts=Timeouts(connect=1))
    assert replace(config, timeouts=replace(config.timeouts, idle=2.0)).timeouts.idle == 2.0


def test_an_account_prints_no_secret() -> None:
    account = AccountConfig("work", Secret("sk-ant-test-1"), proxy_url="http://user:pw@host")
    assert "sk-ant" not in repr(account)
    assert "pw" not in repr(account)


def test_configurations_can_be_compared_and_hashed() -> None:
    """A reload asks whether anything changed."""
    one, other = (Config(accounts=(AccountConfig("a", metadata={"x": []}),)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
