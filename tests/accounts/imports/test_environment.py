from __future__ import annotations

from neurolink_mitm.accounts.imports.environment import find


def test_each_variable_with_a_credential_is_an_account() -> None:
    environ = {
        "ANTHROPIC_API_KEY": "sk-ant-api-test-1",
        "ANTHROPIC_AUTH_TOKEN": "sk-ant-oat01-test-1",
        "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-test-2",
        "CLAUDE_API_KEY": "",
    }
    accounts = [entry.account for entry in find(environ, "here", 0.0).entries]
    assert [(each.label, each.type) for each in accounts if each] == [
        ("api-key", "api_key"),
        ("auth-token", "oauth"),
        ("setup-token", "oauth"),
    ]


def test_what_is_left_says_why() -> None:
    environ = {
        "ANTHROPIC_AUTH_TOKEN": "any-token",
        "CLAUDE_CODE_OAUTH_REFRESH_TOKEN": "sk-ant-ort01-test-1",
    }
    reasons = {entry.name: entry.reason for entry in find(environ, "here", 0.0).entries}
    assert reasons["ANTHROPIC_AUTH_TOKEN"].startswith(
        "the key can't be used: an API key starts with"
    )
    assert reasons["CLAUDE_CODE_OAUTH_REFRESH_TOKEN"].startswith("a refresh token alone")


def test_where_requests_go_is_listed() -> None:
    environ = {"ANTHROPIC_BASE_URL": "http://u:pw@x", "ANTHROPIC_CUSTOM_HEADERS": "x-api-key: pw"}
    settings = find(environ, "here", 0.0).settings
    assert [each.where for each in settings] == ["ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"]
    assert "pw" not in str(settings)
