"""Which providers can't work on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from neurolink_mitm.adapters.provider_needs import is_installed, unfit_providers
from neurolink_mitm.core.providers.names import canonical, unknown_provider
from neurolink_mitm.core.providers.needs import LOGINS, PACKAGES


@pytest.mark.parametrize(
    ("module", "there"),
    [
        ("litellm", True), ("boto3", True), ("google.protobuf", True), ("no_such_package", False),
        ("no_such.package", False), ("json.nothing", False),
    ],
)  # fmt: skip
def test_a_package_is_looked_for(module: str, there: bool) -> None:
    before = set(sys.modules)
    assert is_installed(module) is there
    assert set(sys.modules) == before, "nothing is imported"


def test_one_whose_package_is_not_there_says_what_mends_it() -> None:
    [(name, reason)] = unfit_providers(["openai", "bedrock", "petals"], {}).items()
    assert name == "petals"
    assert reason == (
        f"needs the package petals: run `{sys.executable} -m pip install petals` and start the proxy again"
    )


@pytest.mark.parametrize("provider", LOGINS)
def test_one_that_wants_a_login_says_how(provider: str, tmp_path: Path) -> None:
    login, environ = LOGINS[provider], {"HOME": str(tmp_path)}
    reason = unfit_providers([provider], environ)[provider]
    assert reason.startswith(f'needs a login: run `{sys.executable} -c "from {login.module} import')
    folder = tmp_path / login.folder
    folder.mkdir(parents=True)
    (folder / login.file).write_text("{}")
    assert unfit_providers([provider], environ) == {}
    assert unfit_providers([provider], {login.variable: str(tmp_path / "elsewhere")})
    assert unfit_providers([provider], {login.variable: str(folder)}) == {}


def test_litellm_has_those_modules() -> None:
    assert [each.module for each in LOGINS.values() if not is_installed_file(each.module)] == []


def is_installed_file(module: str) -> bool:
    """As `is_installed`, but without importing its parents: LiteLLM takes seconds."""
    from importlib.util import find_spec

    spec = find_spec("litellm")
    assert spec
    assert spec.origin
    path = Path(spec.origin).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return "class Authenticator" in path.read_text()


def test_they_are_providers() -> None:
    names = [*PACKAGES, *LOGINS]
    assert [name for name in names if unknown_provider(name) or canonical(name) != name] == []
