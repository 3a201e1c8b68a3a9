"""Why an action was not done: what the rooms raise, in words for the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neurolink_mitm.adapters.files import ChangedError
from neurolink_mitm.adapters.token_store import TokenStoreError
from neurolink_mitm.config.editable import NotEditableError
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.dashboard.action import RefusedError

MEANWHILE = "this has been changed meanwhile, by another page or a command: look again"


@contextmanager
def refusals() -> Iterator[None]:
    """Raise `RefusedError` for what the user, the files or the disk are at fault for."""
    try:
        yield
    except ChangedError as e:
        raise RefusedError(MEANWHILE) from e
    except OSError as e:
        raise RefusedError(redact(_of_disk(e))) from e
    except (ValueError, TokenStoreError, NotEditableError, ConfigError) as e:
        raise RefusedError(redact(str(e))) from e


def _of_disk(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
