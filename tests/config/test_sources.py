from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.client_file import add_client, revoke_client
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError
from neurolink_mitm.config.env_file import EnvFileError
from neurolink_mitm.config.sources import SourceOptions, Sources
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.providers.destinations import route
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from tests.certificates import make_pair
from tests.fakes import make_account

GOOD = "timeouts: {idle: 5}\naccounts: {anthropic: [{name: a, apiKey: '${KEY}'}]}\n"
BETTER = GOOD.replace("5", "6")
BAD = "timeouts: {idle: soon}\n"
ENVIRON = {"KEY": "sk-ant-test-a"}


@pytest.fixture
def place(tmp_path: Path) -> Home:
    home = Home(tmp_path / "state")
    home.create()
    home.config.write_text(GOOD)
    return home


def sources(home: Home, **named: Any) -> Sources:
    return Sources(SourceOptions(**{"environ": ENVIRON, **named}), home, TokenStore(home))


def test_what_the_files_say(place: Home) -> None:
    read = sources(place).read()
    assert (read.config.timeouts.idle, read.strategy) == (5, "fill-first")
    assert [account.label for account in read.accounts] == ["a"]
    assert read.config_path == str(place.config)
    assert (read.warnings, read.faults) == ((), ())


def test_what_changes_is_watched(place: Home, tmp_path: Path) -> None:
    elsewhere, keys = tmp_path / "elsewhere.yaml", tmp_path / "keys"
    watched = sources(place, config=elsewhere, env_file=keys).paths
    logins = {place.tokens, place.keyring_changed, place.legacy_credentials}
    assert set(watched) == {
        elsewhere,
        keys,
        place.clients,
        place.pauses,
        place.cluster_marks,
        *logins,
    }


def test_a_good_change(place: Home) -> None:
    files = sources(place)
    files.read()
    place.config.write_text(BETTER)
    assert files.read_again().config.timeouts.idle == 6


def break_config(home: Home) -> None:
    home.config.write_text(BAD)


def break_env_file(home: Home) -> None:
    home.env.write_text("no line of such a file\n")


def break_strategy(home: Home) -> None:
    home.config.write_text("routing: {strategy: nonsense}\n")


def remove_config(home: Home) -> None:
    home.config.unlink()


def empty_config(home: Home) -> None:
    home.config.write_text("")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (break_config, "timeouts.idle: must be a number"),
        (break_env_file, ".env: line 1 is not NAME=value"),
        (break_strategy, "routing.strategy: must be one of"),
        (remove_config, "proxy-config.yaml: no such file"),
        (empty_config, "proxy-config.yaml: is empty"),
    ],
)
def test_a_bad_change_leaves_what_was_good(
    place: Home, change: Callable[[Home], None], fault: str
) -> None:
    files = sources(place)
    before = files.read()
    change(place)
    after = files.read_again()
    assert fault in after.faults[0]
    assert (after.config, after.accounts) == (before.config, before.accounts)


def test_logins_are_picked_up_beside_a_bad_configuration(place: Home) -> None:
    files = sources(place)
    files.read()
    break_config(place)
    TokenStore(place).save(StoredAccount("new", Secret("sk-ant-test-new")))
    after = files.read_again()
    assert after.faults
    assert [account.label for account in after.accounts] == ["new", "a"]


def test_a_repaired_one_takes_effect(place: Home) -> None:
    files = sources(place)
    files.read()
    break_config(place)
    files.read_again()
    place.config.write_text(BETTER)
    after = files.read_again()
    assert (after.faults, after.config.timeouts.idle) == ((), 6)


def test_a_configuration_that_was_never_there_may_come(place: Home) -> None:
    place.config.unlink()
    files = sources(place)
    assert files.read().config_path is None
    place.config.write_text(GOOD)
    assert files.read_again().config_path == str(place.config)


def test_broken_logins_change_nothing_at_all(place: Home) -> None:
    files = sources(place)
    files.read()
    place.tokens.write_text("{")
    with pytest.raises(TokenStoreError):
        files.read_again()


@pytest.mark.parametrize(("text", "error"), [(BAD, ConfigError), (None, ConfigError)])
def test_at_the_start_a_bad_one_is_refused(
    place: Home, text: str | None, error: type[Exception]
) -> None:
    asked = place.root / "asked.yaml"
    if text is not None:
        asked.write_text(text)
    with pytest.raises(error):
        sources(place, config=asked).read()


def test_at_the_start_a_missing_env_file_is_refused(place: Home) -> None:
    with pytest.raises(EnvFileError):
        sources(place, env_file=place.root / "keys").read()


def test_keys_come_from_the_env_file(place: Home) -> None:
    place.env.write_text("KEY=sk-ant-test-of-the-file\n")
    [account] = sources(place, environ={}).read().accounts
    assert account.secret == Secret("sk-ant-test-of-the-file")


def test_a_key_that_changes_in_the_env_file(place: Home) -> None:
    place.env.write_text("KEY=sk-ant-test-one\n")
    files = sources(place, environ={})
    files.read()
    place.env.write_text("KEY=sk-ant-test-other\n")
    [account] = files.read_again().accounts
    assert account.secret == Secret("sk-ant-test-other")


@pytest.mark.parametrize("which", ["config", "env_file"])
def test_what_was_read_from_a_pipe_stays(place: Home, tmp_path: Path, which: str) -> None:
    """As of `--env-file <(…)`: there is nothing to be read a second time, or it would wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = GOOD if which == "config" else "KEY=sk-ant-test-a\n"
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    files = sources(place, **{which: pipe})
    before = files.read()
    writer.join()
    after = files.read_again()
    assert (after.config, after.accounts) == (before.config, before.accounts)


def test_the_command_lines_strategy_goes_before_the_files(place: Home) -> None:
    place.config.write_text("routing: {strategy: fill-first}\n")
    assert sources(place, strategy="round-robin").read().strategy == "round-robin"


def test_accounts_of_the_sandbox_are_not_those_of_files(place: Home) -> None:
    alpha = make_account("alpha")
    assert sources(place, accounts=(alpha,)).read().accounts == (alpha,)


def test_no_secret_is_shown(place: Home) -> None:
    assert "sk-ant-test" not in repr(sources(place).read())


def test_settings_for_nobody_draw_a_warning(place: Home) -> None:
    place.config.write_text("accounts: {anthropic: [{name: typo, weight: 2}]}\n")
    [warning] = sources(place).read().warnings
    assert warning == (
        'accounts.anthropic: "typo" has no apiKey, and no login of that name is stored'
    )


def test_a_key_is_revoked_beside_a_bad_configuration(place: Home) -> None:
    add_client(place.clients, "laptop", 0)
    files = sources(place)
    assert len(files.read().clients) == 1
    break_config(place)
    revoke_client(place.clients, "laptop")
    assert files.read_again().clients == ()


def test_broken_clients_leave_those_that_were(place: Home) -> None:
    add_client(place.clients, "laptop", 0)
    files = sources(place)
    before = files.read()
    place.clients.write_text("{")
    after = files.read_again()
    assert after.clients == before.clients
    assert "clients.json: is broken" in after.faults[0]


@pytest.mark.parametrize(("primary", "count"), [("new", 0), ("a", 0), ("nobody", 1)])
def test_a_primary_account_that_there_is_not_draws_a_warning(
    place: Home, primary: str, count: int
) -> None:
    """One that is only stored does not."""
    TokenStore(place).save(StoredAccount("new", Secret("sk-ant-test-new")))
    place.config.write_text(f"{GOOD}routing: {{primary-account: {primary}}}\n")
    warnings = sources(place).read().warnings
    assert len(warnings) == count
    assert all(primary in warning for warning in warnings)


def test_an_account_in_the_order_that_there_is_not_draws_a_warning(place: Home) -> None:
    place.config.write_text(f"{GOOD}routing: {{account-order: [a, nobody]}}\n")
    assert sources(place).read().warnings == (
        'routing.account-order: no account is called "nobody"',
    )


def test_pauses_are_read_and_stay_in_force_while_their_file_is_broken(place: Home) -> None:
    place.pauses.write_text('{"anthropic:a": {"until": null, "reason": "why"}}')
    read = sources(place)
    assert read.read().accounts[0].paused == Pause(None, "why")
    place.pauses.write_text("{")
    again = read.read_again()
    assert again.accounts[0].paused == Pause(None, "why")
    assert "pauses.json: is broken" in again.faults[0]
    place.pauses.unlink()
    assert read.read_again().accounts[0].paused is None


def test_a_pause_counts_whatever_else_is_wrong(place: Home) -> None:
    read = sources(place)
    read.read()
    place.config.write_text("routing: 5")
    place.pauses.write_text('{"a": {}}')
    assert read.read_again().accounts[0].paused == Pause()


SHAPED = "cloaking: {plugins: {custom: [mine.py]}}\n"
PLUGIN = "class Mine:\n    def rewrite(self, draft):\n        return draft\n"


def test_a_plugin_that_breaks_leaves_the_old_one_in_force(place: Home) -> None:
    place.config.write_text(SHAPED)
    file = place.root / "mine.py"
    file.write_text(PLUGIN)
    files = sources(place)
    before = files.read().shaping
    assert [name for name, _ in before.rewriters][-1] == "mine"
    file.write_text("1/0")
    again = files.read_again()
    assert again.shaping is before
    assert again.faults[0].startswith("cloaking.plugins.custom[0]: mine.py can't be loaded")


def test_the_same_shaping_stays_in_force(place: Home) -> None:
    """It remembers what it has looked through."""
    files = sources(place)
    before = files.read()
    place.config.write_text(BETTER)
    assert files.read_again().shaping is before.shaping


WORK = StoredAccount("work", Secret("sk-ant-oat-test-1"), Secret("sk-ant-ort-test-1"), 9.0)
HOME = StoredAccount(
    "home", Secret("sk-ant-oat-test-h"), None, 9.0, account_uuid="u", organization_uuid="o"
)


def refresh(store: TokenStore, number: int = 2) -> None:
    """As the refresher writes it."""
    access, token = Secret(f"sk-ant-oat-test-{number}"), Secret(f"sk-ant-ort-test-{number}")
    assert store.replace_tokens("work", Tokens(access, token, 9.0))


def in_place(path: Path) -> None:
    """Another program changes one letter, and not the time of the file."""
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"test-2", b"test-x"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_our_own_write_of_the_tokens_needs_no_reload(place: Home) -> None:
    store = TokenStore(place)
    store.save(WORK)
    files = Sources(SourceOptions(environ=ENVIRON), place, store)
    files.read()
    for number in (2, 3):
        refresh(store, number)
        store.note_failure("work")
    assert files.is_own_change({place.tokens})


@pytest.mark.parametrize(
    "acts",
    [
        (lambda store, other, path: other.save(HOME), lambda store, other, path: refresh(store)),
        (lambda store, other, path: refresh(store), lambda store, other, path: other.save(HOME)),
        (lambda store, other, path: refresh(store), lambda store, other, path: in_place(path)),
        (lambda store, other, path: path.unlink(),),
        (lambda store, other, path: path.write_text("{"),),
    ],
    ids=["just before ours", "just after ours", "after ours, same size and time", "gone", "broken"],
)
def test_a_foreign_write_in_the_same_moment_is_seen(
    place: Home, acts: tuple[Callable[[TokenStore, TokenStore, Path], object], ...]
) -> None:
    store, other = TokenStore(place), TokenStore(place)
    store.save(WORK)
    files = Sources(SourceOptions(environ=ENVIRON), place, store)
    files.read()
    for act in acts:
        act(store, other, place.tokens)
    assert not files.is_own_change({place.tokens})


def test_what_changes_beside_the_tokens_is_seen(place: Home) -> None:
    store = TokenStore(place)
    store.save(WORK)
    files = Sources(SourceOptions(environ=ENVIRON), place, store)
    files.read()
    refresh(store)
    assert not files.is_own_change({place.tokens, place.config})


def test_two_logins_that_turn_out_to_be_one_account_need_a_reload(place: Home) -> None:
    store = TokenStore(place)
    store.save(WORK)
    store.save(HOME)
    files = Sources(SourceOptions(environ=ENVIRON), place, store)
    files.read()
    known = Tokens(Secret("sk-ant-oat-test-2"), None, 9.0, account_uuid="u", organization_uuid="o")
    store.replace_tokens("work", known)
    assert not files.is_own_change({place.tokens})


def test_an_unknown_provider_keeps_the_configuration_in_force(place: Home) -> None:
    files = sources(place)
    before = files.read().config
    place.config.write_text(GOOD + "routing: {fallback-chain: [{provider: opnai, model: m}]}\n")
    after = files.read_again()
    assert after.config == before
    assert after.faults == (
        'routing.fallback-chain[0].provider: no provider is called "opnai", did you mean "openai"?',
    )


def test_a_key_that_is_added_opens_its_entry_and_one_that_changes_is_another(place: Home) -> None:
    place.config.write_text(GOOD + "routing: {fallback-chain: [{provider: kimi, model: m}]}\n")
    files, seen = sources(place), []
    for text in ("", "MOONSHOT_API_KEY=one\n", "MOONSHOT_API_KEY=two\n"):
        place.env.write_text(text)
        seen.append(files.read())
    entries = [each.others[0] for each in seen]
    assert [entry.key for entry in entries] == ["moonshot/m"] * 3
    assert [bool(entry.disabled) for entry in entries] == [True, False, False]
    assert entries[1].secret != entries[2].secret
    told = "moonshot/m will not be asked: no key: set MOONSHOT_API_KEY"
    assert [any(w.startswith(told) for w in each.warnings) for each in seen] == [True, False, False]


def test_gemini_moves_with_the_keys(place: Home) -> None:
    files, rules = sources(place, unfit=lambda names, environ: {}), []
    for text in ("GEMINI_API_KEY=k\n", "GEMINI_API_KEY=k\nVERTEXAI_PROJECT=p\n"):
        place.env.write_text(text)
        read = files.read()
        taken = route("gemini-9", read.config.routing, read.others)
        assert taken
        rules.append(taken.entries[0])
    assert rules == ["google-ai/gemini-*", "vertex/gemini-*"]


def test_a_provider_that_cant_work_here_is_not_asked(place: Home) -> None:
    place.config.write_text(GOOD + "routing: {fallback-chain: [{provider: vertex, model: m}]}\n")
    asked: list[frozenset[str]] = []

    def unfit(names: Any, environ: Any) -> dict[str, str]:
        asked.append(names)
        return {"vertex": "needs the package x: run `y`"}

    place.env.write_text("VERTEXAI_PROJECT=p\nGEMINI_API_KEY=k\n")
    read = sources(place, unfit=unfit).read()
    assert asked == [{"vertex", "google-ai", "ollama", "lm_studio"}], "the last two for embeddings"
    assert "vertex/m will not be asked: needs the package x: run `y`" in read.warnings
    taken = route("gemini-9", read.config.routing, read.others)
    assert taken
    assert taken.entries[0] == "google-ai/gemini-*"


@pytest.mark.parametrize(
    ("routing", "keys"),
    [
        ("fallback-chain: [{provider: openai, model: m}]", ["routing.fallback-chain[0]: openai"]),
        (
            "model-mappings: [{from: a, to: b}, {from: c, to: d, provider: groq}]",
            ["routing.model-mappings[1]: groq"],
        ),
        ("passthrough-models: [claude-opus-4-1]", []),
    ],
    ids=["chain", "mapping", "neither"],
)
def test_without_litellm_another_provider_is_refused(
    routing: str, keys: list[str], place: Home
) -> None:
    """As in the container image `slim`, which the message names the other one to."""
    place.config.write_text(GOOD + f"routing: {{{routing}}}\n")
    files = sources(place, has_litellm=lambda: False)
    if not keys:
        files.read()
        return
    with pytest.raises(ConfigError) as refused:
        files.read()
    assert [fault.partition(" needs LiteLLM")[0] for fault in refused.value.faults] == keys
    assert all("take the image `full`" in fault for fault in refused.value.faults)


def test_under_a_cap_an_entry_without_a_price_is_told(place: Home) -> None:
    chain = "[{provider: openai, model: gpt-none}, {provider: openai, model: gpt-4o-mini}]"
    place.env.write_text("OPENAI_API_KEY=k\n")
    told = (
        "openai/gpt-none will not be asked: routing.daily-cap-usd is set, and its price is unknown"
    )
    for more, expected in (
        ("", []),
        (", daily-cap-usd: 5", [f'{told}: set prices."gpt-none"']),
        (", daily-cap-usd: 5}\nprices: {gpt-none: {input: 1, output: 1}", []),
    ):
        place.config.write_text(GOOD + f"routing: {{fallback-chain: {chain}{more}}}\n")
        warnings = sources(place).read().warnings
        assert [each for each in warnings if "gpt-none" in each] == expected


SECURE = GOOD + "listen: {cert: tls.crt, key: tls.key}\n"


def test_a_certificate_beside_the_configuration_file(place: Home) -> None:
    place.config.write_text(SECURE)
    files = sources(place)
    fingerprint = make_pair(place.root)
    certificate = files.read().certificate
    assert certificate is not None
    assert certificate.fingerprint == fingerprint
    assert {place.root / "tls.crt", place.root / "tls.key"} < set(files.paths)


def test_without_its_certificate_nothing_starts(place: Home) -> None:
    place.config.write_text(SECURE)
    with pytest.raises(ConfigError, match=r"listen\.cert: .*: no such file") as refused:
        sources(place).read()
    assert len(refused.value.faults) == 2


def test_a_certificate_that_is_being_exchanged_holds_nothing_up(place: Home) -> None:
    """Nor does a bad configuration hold a new certificate up."""
    place.config.write_text(SECURE)
    first = make_pair(place.root)
    files = sources(place)
    files.read()
    (place.root / "tls.key").write_text("half")
    place.config.write_text(SECURE.replace("5", "6"))
    inputs = files.read_again()
    assert inputs.config.timeouts.idle == 6
    assert inputs.certificate is not None
    assert inputs.certificate.fingerprint == first
    assert len(inputs.faults) == 1
    second = make_pair(place.root)
    place.config.write_text(BAD)
    inputs = files.read_again()
    assert inputs.certificate is not None
    assert inputs.certificate.fingerprint == second
    assert len(inputs.faults) == 1


def test_a_reload_to_a_certificate_that_is_broken_changes_nothing(place: Home) -> None:
    files = sources(place)
    files.read()
    place.config.write_text(SECURE.replace("5", "6"))
    inputs = files.read_again()
    assert (inputs.config.timeouts.idle, inputs.certificate) == (5, None)
    assert len(inputs.faults) == 2
