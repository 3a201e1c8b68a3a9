"""`python -m tools.peers`: see the package's docstring."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from tests.lookalikes.server import Lookalike
from tests.translator.matrix.run import Asked, Score, asking, scores
from tests.translator.matrix.targets import TARGETS
from tests.translator.running import Running
from tools.peers.install import PeerError
from tools.peers.servers import PEERS

OURS = "neurolink"
KINDS = ("requests", "answers", "rounds")

Scores = dict[str, dict[str, Score]]
"""By target and kind of rows."""


@click.command(help=__doc__)
@click.argument("targets", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option(
    "--peer", "peers", multiple=True, type=click.Choice([OURS, *PEERS]), help="Only these."
)
@click.option("--rows", default="", help="Only rows whose name has this pattern.")
@click.option("--streamed", is_flag=True, help="Not whole, too.")
@click.option("--faults", is_flag=True, help="Say what is wrong.")
def main(
    targets: Sequence[str], peers: Sequence[str], rows: str, streamed: bool, faults: bool
) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the peer ends, too
    names = list(targets or TARGETS)
    modes = (True,) if streamed else (True, False)
    found: dict[str, Scores] = {}
    for peer in peers or [OURS, *PEERS]:
        with tempfile.TemporaryDirectory() as home:
            try:
                found[peer] = _scores(peer, names, Path(home), rows, modes)
            except PeerError as e:
                click.echo(f"{peer}: {e}", err=True)
    for line in table(found, names):
        click.echo(line)
    if faults:
        _tell(found)
    sys.exit(len(found) < len(peers or [OURS, *PEERS]))


def _scores(
    peer: str, names: Sequence[str], home: Path, rows: str, modes: Sequence[bool]
) -> Scores:
    if peer == OURS:
        with Running(home) as translator:
            return {name: _ours(name, translator, rows, modes) for name in names}
    with ExitStack() as stack:
        made = {name: stack.enter_context(TARGETS[name].made()) for name in names}
        addresses = {name: (TARGETS[name], lookalike.url) for name, lookalike in made.items()}
        running = stack.enter_context(PEERS[peer](addresses, home))
        return _each(made, running.models, lambda name: running.behind(name), rows, modes)


def _ours(name: str, translator: Running, rows: str, modes: Sequence[bool]) -> dict[str, Score]:
    with asking(name, translator) as asked:
        return scores(asked, rows, modes)


def _each(
    made: Mapping[str, Lookalike],
    models: Mapping[str, str],
    behind: Callable[[str], object],
    rows: str,
    modes: Sequence[bool],
) -> Scores:
    asked = {
        name: Asked(TARGETS[name], made[name], behind(name)) for name in made if name in models
    }  # type: ignore[arg-type]
    return {name: scores(each, rows, modes) for name, each in asked.items()}


def table(found: Mapping[str, Scores], names: Sequence[str]) -> list[str]:
    """Return the lines of the report: a row a target, then the sums; a peer without a way to a target has a dash."""
    lines = ["".join(f"{word:28}" for word in ("", *found)).rstrip()]
    for name in names:
        cells = [_cell([each[name]] if name in each else []) for each in found.values()]
        lines.append("".join(f"{word:28}" for word in (name, *cells)).rstrip())
    sums = [_cell(list(each.values())) for each in found.values()]
    return [*lines, "".join(f"{word:28}" for word in ("all", *sums)).rstrip()]


def _cell(scores_: Sequence[dict[str, Score]]) -> str:
    if not scores_:
        return "-"
    sums = []
    for kind in KINDS:
        of_kind = [each[kind] for each in scores_ if kind in each]
        right = sum(each.rows - len(each.faults) for each in of_kind)
        sums.append(f"{right}/{sum(each.rows for each in of_kind)}")
    return " ".join(sums)


def _tell(found: Mapping[str, Scores]) -> None:
    for peer, by_target in found.items():
        for target, kinds in by_target.items():
            for each in kinds.values():
                for row, fault in each.faults.items():
                    click.echo(f"{peer}, {target}, {row}: {' '.join(fault.split())}")


if __name__ == "__main__":
    main()
