from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.persisted import PersistedState, PersistedStates, fingerprint
from neurolink_mitm.core.redact.secret import Secret

TOKEN = Secret("sk-ant-test-a")
COOLDOWN = Cooldown(1, 1000.0, 1009.0)


@given(st.text(), st.text())
def test_a_fingerprint_tells_credentials_apart(one: str, other: str) -> None:
    assert (fingerprint(Secret(one)) == fingerprint(Secret(other))) == (one == other)
    assert len(fingerprint(Secret(one))) == 12


def test_only_what_was_touched_is_looked_at() -> None:
    states, asked = PersistedStates(), list[str]()
    present: dict[str, Mapping[str, Cooldown]] = {"a": {"*": COOLDOWN}, "b": {}}

    def current(key: str) -> tuple[Secret, Mapping[str, Cooldown]] | None:
        asked.append(key)
        return (TOKEN, present[key]) if key in present else None

    states.touch("abc")
    expected = {"a": PersistedState(fingerprint(TOKEN), {"*": COOLDOWN})}
    assert (states.update(current), sorted(asked)) == (expected, ["a", "b", "c"])
    assert states.update(current) == expected
    assert len(asked) == 3
    del present["a"]
    states.touch("a")
    assert states.update(current) == {}
