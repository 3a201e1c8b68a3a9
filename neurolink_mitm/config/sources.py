"""Reads all files that a proxy is made from (configuration, keys, logins), at the start and on every change."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurolink_mitm.adapters.certificate import (
    Certificate,
    CertificateError,
    read_certificate,
)
from neurolink_mitm.adapters.client_file import ClientFileError, read_clients
from neurolink_mitm.adapters.cluster_key import ClusterKeyError, key_path, read_cluster_key
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.mark_file import (
    MarkFileError,
    Marks,
    configured_marks,
    with_marks,
)
from neurolink_mitm.adapters.network import (
    Network,
    asked_of,
    bundle_of,
    proxy_faults,
    read_network,
)
from neurolink_mitm.adapters.pause_file import PauseFileError, read_pauses
from neurolink_mitm.adapters.plugins import pipeline
from neurolink_mitm.adapters.provider_needs import has_litellm, unfit_providers
from neurolink_mitm.adapters.system import missing_for_cluster
from neurolink_mitm.adapters.token_store import Credentials, TokenStore, open_store
from neurolink_mitm.config import file as config_file
from neurolink_mitm.config.document import LoadedConfig
from neurolink_mitm.config.env_file import (
    EnvFileError,
    Environment,
    chosen,
    read_environment,
)
from neurolink_mitm.config.input_warnings import keyless, unmet, unpriced_entries
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.pool.accounts import (
    Account,
    build_pool,
    with_pauses,
)
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.providers.destinations import all_asked, entries, places_of_others
from neurolink_mitm.core.providers.needs import LACKS_LITELLM
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.listen import Listen
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.shaping.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the files say at one moment."""

    config: Config
    strategy: str
    accounts: tuple[Account, ...]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    config_path: str | None = None
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """Why some values are older than their file."""
    clients: tuple[ClientKey, ...] = ()
    others: tuple[Account, ...] = ()
    """Models of other providers, as accounts."""
    shaping: Pipeline = field(default_factory=Pipeline)
    network: Network = field(default_factory=Network)
    certificate: Certificate | None = None
    """That of `listen`."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the command line says of the files, or instead of them."""

    environ: Mapping[str, str] = field(repr=False)
    env_file: Path | None = None
    config: Path | None = None
    strategy: str | None = None
    accounts: tuple[Account, ...] | None = None
    """Serve these accounts, whatever is stored or configured."""
    roots: Path | None = None
    """Directory to write the trusted certificate authorities to; None: they are not written."""
    content: bytes | None = field(default=None, repr=False)
    """Read this in place of the configuration file, to check an edit before it is made."""
    unfit: Callable[[Iterable[str], Mapping[str, str]], Mapping[str, str]] = unfit_providers
    """Return which providers can't work on this machine, and why."""
    has_litellm: Callable[[], bool] = has_litellm
    """Return whether any other provider can be asked."""


class Sources:
    """Reads all files, or raises all that is wrong with them. Blocks."""

    def __init__(self, options: SourceOptions, home: Home, store: TokenStore) -> None:
        self._options = options
        self._home = home
        self._store = store
        self._config = (options.config or home.config).expanduser().absolute()
        self._env_file = chosen(options.environ, home, options.env_file)[0]
        self._last: tuple[LoadedConfig, Environment, Inputs] | None = None
        self._network: tuple[object, Network] | None = None
        self._pauses: Mapping[str, Pause] = {}
        self._unusable: tuple[str, ...] = ()
        """Why the certificate is older than its files."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to watch."""
        home = self._home
        logins = (home.tokens, home.keyring_changed, home.legacy_credentials)
        own = (self._config, self._env_file, home.clients, home.pauses, home.cluster_marks)
        return (*own, *logins, *self._pair)

    @property
    def _pair(self) -> tuple[Path, ...]:
        """The files of the certificate."""
        listen, folder = (
            self._last[0].config.listen if self._last else Listen(),
            self._config.parent,
        )
        return tuple(folder / Path(each).expanduser() for each in (listen.cert, listen.key) if each)

    @property
    def home(self) -> Home:
        return self._home

    @property
    def store(self) -> TokenStore:
        return self._store

    def open_store(self) -> TokenStore:
        """Return another object of the same store: what it writes counts as somebody else's change."""
        return open_store(self._home, self._options.environ)

    @property
    def config_file(self) -> Path:
        return self._config

    def configured_marks(self) -> Marks | None:
        """Return the primary account and the order of use that the configuration file itself asks for."""
        return configured_marks(self._last[0].config.routing) if self._last else None

    def is_own_change(self, changed: Collection[Path]) -> bool:
        """Whether `changed` is the token store alone, as our own refreshes have left it. Blocks."""
        tokens = {self._home.tokens, self._home.keyring_changed}
        return tokens.issuperset(changed) and self._store.is_own_change()

    @property
    def network(self) -> Network:
        """The network settings that were read last."""
        return self._network[1] if self._network else Network()

    def read(self) -> Inputs:
        """Read all files.

        Raises `ConfigError`, `EnvFileError`, `ClientFileError`, `PauseFileError`, `TokenStoreError`.
        """
        environment = self._environment()
        credentials = self._credentials()
        loaded = self._loaded(environment.values)
        clients = read_clients(self._home.clients)
        self._pauses = read_pauses(self._home.pauses)
        shaping, certificate = self._shaping(loaded), self._certificate(loaded)
        inputs = self._inputs(loaded, environment, credentials, clients, shaping, certificate)
        self._check_litellm(inputs.config)
        self._check_proxies(inputs)
        self._check_cluster(inputs.config)
        self._last = loaded, environment, inputs
        return inputs

    def read_again(self) -> Inputs:
        """Read all files; of a bad one, keep its last good values and add its faults. Raises `TokenStoreError`."""
        assert self._last is not None
        self._unusable = ()
        try:
            return replace(self.read(), faults=self._unusable)
        except (ConfigError, EnvFileError, ClientFileError, PauseFileError) as e:
            faults = e.faults if isinstance(e, ConfigError) else (str(e),)
        with suppress(PauseFileError):  # an account is paused whatever else is wrong
            self._pauses = read_pauses(self._home.pauses)
        loaded, environment, before = self._last
        certificate = self._certificate(loaded)
        inputs = self._inputs(
            loaded, environment, self._credentials(), self._clients(before.clients), before.shaping,
            certificate,
        )  # fmt: skip
        self._last = loaded, environment, inputs
        return replace(inputs, faults=(*faults, *self._unusable))

    def _credentials(self) -> Credentials:
        credentials = self._store.read()
        self._store.watch(credentials.revision)
        return credentials

    def _clients(self, before: tuple[ClientKey, ...]) -> tuple[ClientKey, ...]:
        """Return the client keys of now, if they can be read: a key is revoked whatever else is wrong."""
        try:
            return read_clients(self._home.clients)
        except ClientFileError:
            return before

    def _environment(self) -> Environment:
        if self._last and _is_pipe(self._env_file):
            return self._last[1]
        return read_environment(self._options.environ, self._home, self._options.env_file)

    def _loaded(self, environ: Mapping[str, str]) -> LoadedConfig:
        """Load the configuration. At a reload, a file that is gone or empty is a fault: it is about to be written."""
        required = self._options.config is not None
        if self._last:
            if _is_pipe(self._config):
                return self._last[0]
            required |= self._last[2].config_path is not None
            if required and _size(self._config) == 0:
                raise ConfigError(f"{self._config}: is empty")
        content = self._options.content
        return config_file.load(self._config, environ, required=required, content=content)

    def _inputs(
        self,
        loaded: LoadedConfig,
        environment: Environment,
        credentials: Credentials,
        clients: tuple[ClientKey, ...],
        shaping: Pipeline,
        certificate: Certificate | None,
    ) -> Inputs:
        config, agreed = self._agreed(loaded.config)
        environ, accounts = environment.values, self._options.accounts
        names: tuple[str, ...] = ()
        if accounts is None:
            key = environ.get("ANTHROPIC_API_KEY")
            secret = Secret(key) if key else None
            accounts = build_pool(config, credentials.stored, credentials.legacy, secret)
            names = tuple(unmet(config, accounts))
        accounts = with_pauses(accounts, self._pauses)
        others = entries(config, environ, self._options.unfit(all_asked(config, environ), environ))
        network = self._network_of(config, environ)
        return Inputs(
            config=config,
            strategy=_strategy(self._options.strategy or config.routing.strategy),
            accounts=accounts,
            others=others,
            clients=clients,
            shaping=shaping,
            environ=environ,
            network=network,
            certificate=certificate,
            config_path=self._config_path(),
            warnings=(
                *environment.warnings,
                *credentials.warnings,
                *loaded.warnings,
                *network.warnings,
                *(certificate.warnings if certificate else ()),
                *names,
                *agreed,
                *keyless(others),
                *unpriced_entries(config, others),
            ),
        )

    def _agreed(self, config: Config) -> tuple[Config, tuple[str, ...]]:
        """Return the configuration with the marks that replicas have agreed on, and a warning if they can't be read."""
        try:
            return with_marks(config, self._home.cluster_marks), ()
        except MarkFileError as e:
            return config, (str(e),)

    def _shaping(self, loaded: LoadedConfig) -> Pipeline:
        """Return the pipeline of the configuration, the last one if that is the same: it has a cache of texts."""
        cloaking = loaded.config.cloaking
        if self._last and self._last[0].config.cloaking == cloaking and not cloaking.plugins.custom:
            return self._last[2].shaping
        return pipeline(cloaking, self._config.parent, self._home)

    def _certificate(self, loaded: LoadedConfig) -> Certificate | None:
        """Return the certificate. While the files that are in force are being exchanged, it is the one before."""
        listen = loaded.config.listen
        try:
            return read_certificate(listen, self._config.parent, time.time())
        except CertificateError as e:
            before = self._last[0].config.listen if self._last else Listen()
            if (before.cert, before.key) != (listen.cert, listen.key) or self._last is None:
                raise ConfigError(*e.faults) from e
            self._unusable = e.faults
            return self._last[2].certificate

    def _network_of(self, config: Config, environ: Mapping[str, str]) -> Network:
        """Return the network settings, read anew only if other files are named: that takes a tenth of a second."""
        bundle = bundle_of(config, self._config.parent)
        key = (asked_of(environ), bundle)
        if self._network is None or self._network[0] != key:
            self._network = key, read_network(environ, bundle, self._options.roots)
        return self._network[1]

    def _check_litellm(self, config: Config) -> None:
        """Refuse a fallback that can never be asked, whatever its key."""
        places = list(places_of_others(config.routing))
        if places and not self._options.has_litellm():
            raise ConfigError(*(f"{key}: {name} {LACKS_LITELLM}" for key, name in places))

    def _check_proxies(self, inputs: Inputs) -> None:
        own = self._options.accounts is None  # the sandbox is on this machine
        faults = proxy_faults(inputs.network.proxies, inputs.config, inputs.accounts, default=own)
        if faults:
            raise ConfigError(*faults)

    def _check_cluster(self, config: Config) -> None:
        if config.cluster is None or self._options.accounts is not None:
            return
        if missing := missing_for_cluster():
            raise ConfigError(f"cluster: {missing}")
        try:
            read_cluster_key(key_path(config.cluster, self._config, self._home))
        except ClusterKeyError as e:
            raise ConfigError(f"cluster.key-file: {e}") from e

    def _config_path(self) -> str | None:
        before = self._last[2].config_path if self._last else None
        return before or (str(self._config) if self._config.exists() else None)


def _is_pipe(path: Path) -> bool:
    """Whether it can be read only once, as `--env-file <(…)`."""
    return path.exists() and not path.is_file()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _strategy(strategy: str) -> str:
    if strategy not in STRATEGIES:
        choices = ", ".join(STRATEGIES)
        raise ConfigError(f"routing.strategy: {strategy} is not there yet; choose {choices}")
    return strategy
