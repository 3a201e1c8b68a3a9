"""`cluster.key`: the key that all replicas of a pool share, 32 random bytes as base64 in one line."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.cluster import Cluster

LENGTH = 32
"""Bytes of a key."""
LARGEST = 1000
"""Bytes of a file at most."""
OPEN = 0o037
"""Mode bits that nobody but the owner may have; see `_check_mode` for the reading group."""


class ClusterKeyError(ValueError):
    """The key can't be used; the text is one line, and has nothing of the file's content."""


def key_path(settings: Cluster, config: Path, home: Home) -> Path:
    """Return the path that `cluster.key-file` of the file `config` names, or the default."""
    if settings.key_file is None:
        return home.cluster_key
    return config.parent / Path(settings.key_file).expanduser()


def read_cluster_key(path: Path) -> Secret:
    """Return the key, as base64. Raises `ClusterKeyError`.

    A symbolic link is followed: Kubernetes mounts Secrets by them.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would be waited for
    except FileNotFoundError as e:
        raise ClusterKeyError(
            f"{path} is missing: make it with `neurolink cluster key` on one machine, and copy it to the others"
        ) from e
    except OSError as e:
        raise ClusterKeyError(f"{path} can't be read: {e.strerror}") from e
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ClusterKeyError(f"{path} is no regular file")
        _check_mode(path, status)
        return _checked(path, os.read(descriptor, LARGEST + 1))
    except OSError as e:
        raise ClusterKeyError(f"{path} can't be read: {e.strerror}") from e
    finally:
        os.close(descriptor)


def new_key() -> Secret:
    return Secret(base64.b64encode(secrets.token_bytes(LENGTH)).decode())


def make_cluster_key(path: Path) -> None:
    """Make a key, 0600 from its first byte. Raises `FileExistsError` if there is one, `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask takes away
            file.write(new_key().reveal().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _check_mode(path: Path, status: os.stat_result) -> None:
    """Raise `ClusterKeyError` if others than the owner may read the key.

    The group may, where the file is not ours: Kubernetes gives a Secret to root and to `fsGroup`, as 0440.
    """
    mode = stat.S_IMODE(status.st_mode)
    open_to = OPEN if status.st_uid != os.geteuid() else OPEN | 0o040
    if mode & open_to:
        raise ClusterKeyError(
            f"{path} is open to others (mode {mode:04o}): run chmod 600 {path}; if somebody may have read it,"
            " make another"
        )


def _checked(path: Path, content: bytes) -> Secret:
    text = content.strip()
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != LENGTH:
        raise ClusterKeyError(
            f"{path} holds no key of {LENGTH} bytes in base64: copy it again from the machine where"
            " `neurolink cluster key` has made it"
        )
    return Secret(text.decode())
