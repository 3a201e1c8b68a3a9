"""What some providers need of this machine beside a key: a Python package, or a login that LiteLLM asks for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that LiteLLM imports for a provider: its module, and its name for pip."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A login that LiteLLM asks for on a terminal, which the translator has none of.

    `variable` names the folder of the login's `file`; without it, it is `folder` below the home directory.
    """

    variable: str
    folder: str
    file: str
    module: str
    """LiteLLM's module with the class `Authenticator`."""

    def command(self, python: str) -> str:
        """Return the command that logs in; `python` is the interpreter."""
        return f'{python} -c "from {self.module} import Authenticator; Authenticator().get_access_token()"'


LITELLM = Package("litellm", "litellm")
GOOGLE_AUTH = Package("google.auth", "google-auth")
PACKAGES: Mapping[str, Package] = {
    "vertex": GOOGLE_AUTH,
    "gdc": GOOGLE_AUTH,
    "vertex_ai_beta": GOOGLE_AUTH,
    "petals": Package("petals", "petals"),
}
"""By provider. boto3, for Bedrock and SageMaker, comes with LiteLLM; Databricks and Azure need theirs only without a
key."""
LOGINS: Mapping[str, DeviceLogin] = {
    "github_copilot": DeviceLogin(
        "GITHUB_COPILOT_TOKEN_DIR",
        ".config/litellm/github_copilot",
        "access-token",
        "litellm.llms.github_copilot.authenticator",
    ),
    "chatgpt": DeviceLogin(
        "CHATGPT_TOKEN_DIR",
        ".config/litellm/chatgpt",
        "auth.json",
        "litellm.llms.chatgpt.authenticator",
    ),
}


LACKS_LITELLM = (
    "needs LiteLLM, which comes with NeuroLink but not in the container image `slim`: take the image `full`, or install"
    " NeuroLink again"
)


def lacks_package(package: Package, command: str) -> str:
    """Return why a provider can't work, as text for the user; `command` installs `package`."""
    if package is LITELLM:
        return LACKS_LITELLM
    return f"needs the package {package.name}: run `{command}` and start the proxy again"


def lacks_login(command: str) -> str:
    """Return why a provider can't work before someone has logged in by `command`."""
    return f"needs a login: run `{command}` in a terminal and start the proxy again"
