from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.config import file as config_file
from neurolink_mitm.config.file import DEEPEST, LARGEST, load
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import AccountConfig, Config
from tests.unprivileged import unprivileged

ENV = {"KEY_1": "sk-ant-test-1"}


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """libyaml's loader, and the one that stands in where PyYAML was built without it."""
    monkeypatch.setattr(config_file, "_Loader", getattr(yaml, request.param))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, ENV)
    (line,) = caught.value.faults
    assert "\n" not in line
    return line


YAML = """
timeouts: {idle: 5}
accounts:
  anthropic:
    - name: a
      apiKey: ${KEY_1}
"""
JSON = """{"timeouts":\t{"idle": 5},
\t"accounts": {"anthropic": [{"name": "a", "apiKey": "${KEY_1}"}]}}"""


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.yaml", YAML),
        ("proxy-config.json", JSON),
        ("C.JSON", JSON),
        ("c.yaml", JSON.replace("\t", " ")),
        ("config", YAML),
        ("c.yaml", "\ufeff" + YAML),
        ("proxy-config.json", "\ufeff" + JSON),
        ("c.yaml", YAML.replace("\n", "\r\n")),
    ],
    ids=["yaml", "json", "upper-case", "json-in-yaml", "no-suffix", "bom", "json-bom", "crlf"],
)
def test_yaml_and_json_are_read(tmp_path: Path, name: str, content: str) -> None:
    config = load(write(tmp_path / name, content), ENV).config
    assert config.timeouts.idle == 5
    assert config.accounts == (AccountConfig("a", Secret("sk-ant-test-1")),)


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
@pytest.mark.parametrize("content", ["", " \n\n", "\ufeff"])
def test_an_empty_file_is_an_empty_configuration(tmp_path: Path, name: str, content: str) -> None:
    assert load(write(tmp_path / name, content), {}).config == Config()


@pytest.mark.usefixtures("_loader")
def test_a_file_of_remarks_is_an_empty_configuration(tmp_path: Path) -> None:
    assert load(write(tmp_path / "c.yaml", "# nothing\n---\n# here\n"), {}).config == Config()


def test_no_file_is_an_empty_configuration_unless_it_was_named(tmp_path: Path) -> None:
    assert load(tmp_path / "none.yaml", {}, required=False).config == Config()
    assert fault(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: no such file"


def test_a_directory_can_not_be_read(tmp_path: Path) -> None:
    assert fault(tmp_path) == f"{tmp_path}: can't be read: Is a directory"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "")
    path.chmod(0)
    with unprivileged():
        assert fault(path) == f"{path}: can't be read: Permission denied"


def test_faults_of_the_content_pass_through_with_their_paths(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "timeouts: {idle: -1}\nversion: 7")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [line.split(":")[0] for line in caught.value.faults] == ["timeouts.idle", "version"]


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: [1,\nb: }", "line 2, column "),
        ("a:\n\t- b", "line 2, column 1: found character"),
        ("a: b\n  c: d", "line 2, column 4: mapping values are not allowed"),
        ("a: 'x", "line 1, column "),
        ("a: *nowhere", "line 1, column 4: found undefined alias"),
        ("--- 1\n--- 2\n", "line 2, column 1: but found another document"),
        ("a: !!python/object:os.system x", "line 1, column 4: could not determine a constructor"),
        ("{[1]: 2}", "line 1, column 2: found unhashable key"),
        ("a: 2026-99-99", "holds a date or a number that can't be read"),
        ("a: " + "9" * 5000, "holds a date or a number that can't be read"),
        ("a: \x00", "holds characters that YAML does not allow"),
        ("weight: 1\nx:\n  a: 1\n  a: 2", 'line 4, column 3: the key "a" is given twice'),
        ("[" * (DEEPEST + 1), f"line 1, column {DEEPEST + 1}: nested more than {DEEPEST} levels"),
        ("[" * 400_000, "levels deep"),
        ("- " * 400_000, "levels deep"),
        ("{a: " * 200_000, "levels deep"),
        ("a: &a [*a]", "line 1, column 4: aliases expand to too many values"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    path = write(tmp_path / "c.yaml", content)
    line = fault(path)
    assert line.startswith(f"{path}: ")
    assert says in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1,}', "line 1, column "),
        ('{\n"a": b}', "line 2, column 6: Expecting value"),
        ('{"a": ' + "9" * 5000 + "}", "holds a number that is too long"),
        ("[" * 400_000, "is nested too deeply"),
        ('{"x": {"a": 1, "a": 2}}', 'the key "a" is given twice in one place'),
    ],
)
def test_broken_json_is_one_line_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    assert says in fault(write(tmp_path / "c.json", content))


@pytest.mark.parametrize("name", ["c.yaml", "c.json", "c"])
@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n\x00\xff", bytes(range(256))]
)
def test_binary_junk_is_told_as_such(tmp_path: Path, name: str, content: bytes) -> None:
    assert fault(write(tmp_path / name, content)).endswith("is not a text file (UTF-8)")


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize("content", ["- a", "just text", "5", "true"])
def test_a_document_that_is_no_mapping(tmp_path: Path, content: str) -> None:
    assert "must be a mapping of keys and values" in fault(write(tmp_path / "c.yaml", content))


@pytest.mark.parametrize("size", [LARGEST + 1, 10 * LARGEST])
def test_a_huge_file_is_refused(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "c.yaml", b"#" * size)
    assert fault(path) == f"{path}: is larger than {LARGEST} bytes"


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    assert load(write(tmp_path / "c.yaml", b"#" * LARGEST), {}).config == Config()


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize(
    "step",
    ["a{i}: &a{i} [{nine}]", "a{i}: &a{i} {{<<: [{nine}]}}", "a{i}: &a{i} {{k: [{nine}]}}"],
    ids=["lists", "merges", "mappings"],
)
def test_an_alias_bomb_is_refused(tmp_path: Path, step: str) -> None:
    """A billion laughs: each line stands for nine times the one before."""
    lines = ["a0: &a0 {x: 1}"]
    for i in range(1, 30):
        lines.append(step.format(i=i, nine=",".join([f"*a{i - 1}"] * 9)))
    assert "aliases expand to too many values" in fault(
        write(tmp_path / "c.yaml", "\n".join(lines))
    )


@pytest.mark.usefixtures("_loader")
def test_decent_aliases_and_merges_work(tmp_path: Path) -> None:
    content = """
    accounts:
      anthropic:
        - &common {name: a, apiKey: "${KEY_1}", weight: 2, excludedModels: &none []}
        - {<<: *common, name: b, excludedModels: *none}
    """
    accounts = load(write(tmp_path / "c.yaml", content), ENV).config.accounts
    assert [(account.name, account.weight) for account in accounts] == [("a", 2), ("b", 2)]


def test_no_fault_prints_a_secret(tmp_path: Path) -> None:
    for content in (
        "apiKey: sk-hunter2: x",
        "apiKey: 'sk-hunter2",
        "apiKey: [sk-hunter2",
        "sk-hunter2",
    ):
        assert "hunter2" not in fault(write(tmp_path / "c.yaml", content))
    assert "hunter2" not in fault(write(tmp_path / "proxy-config.json", '{"apiKey": sk-hunter2}'))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_configuration_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    for name in (path, path.with_suffix(".json")):
        write(name, data)
        try:
            load(name, {})
        except ConfigError as e:
            assert e.faults  # noqa: PT017 - either outcome is fine, others are not
