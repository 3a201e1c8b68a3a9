import json

import pytest

from neurolink_mitm.sandbox.accounts import (
    Account,
    Reply,
    Script,
    accounts_from_json,
    default_accounts,
    script_from_json,
)

ONE, TWO = Reply(), Reply(429)


def test_the_last_step_of_a_script_is_repeated() -> None:
    script = Script((ONE, TWO))
    assert [script.step(n) for n in range(4)] == [ONE, TWO, TWO, TWO]


def test_a_looping_script_starts_over() -> None:
    script = Script((ONE, TWO), loop=True)
    assert [script.step(n) for n in range(4)] == [ONE, TWO, ONE, TWO]


def test_a_script_has_a_step() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        Script(())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("status", 99, id="no final status"),
        pytest.param("coalesce", 0, id="no events a write"),
        pytest.param("delay", -1, id="back in time"),
        pytest.param("cut_after", -1, id="cut before the head"),
        pytest.param("stall_after", -1, id="stall before the head"),
    ],
)
def test_a_reply_that_cannot_be_names_the_field(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field}: .*{value}"):
        Reply(**{field: value})  # type: ignore[arg-type]


def test_the_default_accounts_are_limited_working_and_expiring() -> None:
    alpha, beta, gamma = default_accounts()
    assert [alpha.script.step(n).status for n in range(4)] == [200, 200, 429, 200]
    assert beta.script.step(9) == Reply()
    assert (gamma.kind, gamma.expires_in) == ("oauth", 3600)


def test_a_script_is_read_from_a_list() -> None:
    data = json.dumps([{"status": 429, "headers": {"retry-after": "2"}}, {"stall_after": "head"}])
    steps = (Reply(429, headers={"retry-after": "2"}), Reply(stall_after="head"))
    assert script_from_json(data.encode()) == Script(steps)


def test_a_script_is_read_from_an_object() -> None:
    assert script_from_json(b'{"steps": [{}], "loop": true}') == Script(loop=True)


def test_a_body_in_json_is_a_string() -> None:
    assert script_from_json(b'[{"body": "\xc3\xa9"}]').steps[0].body == "é".encode()


def test_accounts_are_read_with_their_scripts() -> None:
    data = b'[{"name": "a", "credential": "k", "script": [{"status": 500}]}]'
    assert accounts_from_json(data) == (Account("a", "k", script=Script((Reply(500),))),)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(b'[{"stauts": 429}]', "Reply has no field stauts", id="misspelt"),
        pytest.param(b'[{"status": "429"}]', "status", id="wrong type"),
        pytest.param(b"[]", "at least one step", id="no step"),
        pytest.param(b'{"steps": [{}], "lop": true}', "lop", id="misspelt beside the steps"),
        pytest.param(b"nonsense", "JSON", id="not JSON"),
    ],
)
def test_a_faulty_script_says_where(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        script_from_json(data)


def test_a_faulty_account_says_where() -> None:
    with pytest.raises(ValueError, match="Account has no field key"):
        accounts_from_json(b'[{"name": "a", "key": "k"}]')
