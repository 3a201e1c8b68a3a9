"""The files of one account's upstream."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Records:
    """Files in the upstream's `folder`, which restarts append to."""

    folder: Path

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts.json"

    @property
    def ledger(self) -> Path:
        """A line a step of a request: its id, and the client's number, or `head` when the response begins."""
        return self.folder / "ledger"

    @property
    def usage(self) -> Path:
        """Token counts in responses, in JSON."""
        return self.folder / "usage"

    @property
    def strays(self) -> Path:
        """A line for each request with another account's credential: that account's name."""
        return self.folder / "strays"

    @property
    def endings(self) -> Path:
        """A line for each connection that was ended: how."""
        return self.folder / "endings"

    def touch(self) -> None:
        self.folder.mkdir()
        for file in (self.ledger, self.usage, self.strays, self.endings):
            file.touch()
