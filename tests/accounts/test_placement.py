from __future__ import annotations

import pytest

from neurolink_mitm.accounts.placement import is_same, place
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret


def login(label: str, uuid: str | None = None, organization: str = "o") -> StoredAccount:
    of = organization if uuid else None
    token = Secret(f"sk-ant-oat-test-{label}-{organization}")
    return StoredAccount(label, token, account_uuid=uuid, organization_uuid=of)


def key(label: str, text: str = "sk-ant-test-k") -> StoredAccount:
    return StoredAccount(label, Secret(text))


def test_the_first_account_is_just_stored() -> None:
    found = place(login("a@b.c", "1"), [], None, add=False)
    assert (found.label, found.question, found.replaces) == ("a@b.c", None, False)


def test_beside_others_it_is_asked_for_and_add_answers() -> None:
    others = [login("work", "1")]
    asked = place(login("home", "2"), others, None, add=False)
    assert asked.question == "The pool has 1 account (work). Add 'home' beside it?"
    assert "--add" in asked.otherwise
    assert place(login("home", "2"), others, None, add=True).question is None


def test_the_same_account_is_renewed_under_its_label() -> None:
    found = place(login("a@b.c", "1"), [login("work", "1")], None, add=False)
    assert (found.label, found.replaces, found.question) == ("work", True, None)


def test_the_same_account_gets_another_label_when_asked() -> None:
    found = place(login("a@b.c", "1"), [login("work", "1")], "office", add=False)
    assert (found.label, found.gone) == ("office", "work")


def test_adding_the_same_account_renews_it_and_says_so() -> None:
    """A browser that is still logged in to the first account is the usual reason."""
    found = place(login("a@b.c", "1"), [login("work", "1")], "home", add=True)
    assert (found.label, found.replaces) == ("work", True)
    assert found.note is not None
    assert "log out in the browser first" in found.note


def test_one_e_mail_in_two_organisations_is_two_accounts() -> None:
    new, old = login("a@b.c", "1", "second"), login("a@b.c", "1", "first")
    assert not is_same(new, old)
    assert place(new, [old], None, add=True).label == "a@b.c-2"


def test_a_key_and_a_login_of_one_account_are_two() -> None:
    whose = key("k")
    assert not is_same(whose, login("l", "1"))


def test_a_label_in_use_is_not_added_again() -> None:
    with pytest.raises(ValueError, match="there is an account 'work' already"):
        place(login("x", "2"), [login("work", "1")], "work", add=True)


def test_a_label_of_another_account_is_not_taken_from_it() -> None:
    with pytest.raises(ValueError, match="'home' is another account"):
        place(login("x", "1"), [login("work", "1"), login("home", "2")], "home", add=False)


def test_replacing_another_account_is_asked_with_no_as_default() -> None:
    found = place(login("x", "2"), [login("work", "1")], "work", add=False)
    assert (found.question, found.default) == ("Replace the login 'work'?", False)
    assert found.otherwise


def test_a_new_key_under_an_old_label_needs_nobody_to_answer() -> None:
    found = place(key("api-key", "sk-ant-test-new"), [key("ci")], "ci", add=False)
    assert (found.label, found.replaces, found.otherwise) == ("ci", True, "")


def test_an_illegal_label_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 1 to 64"):
        place(login("x"), [], " x", add=True)
