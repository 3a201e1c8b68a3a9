"""The tables."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from clustertest.figures import Figure

_WIDTH = 120


def make_console() -> Console:
    """Rich on a terminal, plain in a pipe, and wide enough for the tables."""
    console = Console()
    console.width = max(console.width, _WIDTH)
    return console


def show(
    number: int, title: str, figures: Sequence[Figure], seconds: float, console: Console
) -> None:
    verdict = "[green]PASS[/]" if all(figure.met for figure in figures) else "[red]FAIL[/]"
    table = Table(box=box.HORIZONTALS, show_edge=False)
    for heading in ("", "what", "found", "promised"):
        table.add_column(heading)
    for figure in figures:
        mark = "[green]met[/]" if figure.met else "[red]NOT MET[/]"
        table.add_row(mark, figure.what, figure.found, figure.wanted)
    console.print(f"\n{number}. {title}: {verdict} ({seconds:.0f} s)", highlight=False)
    console.print(table)


def show_all(rows: Sequence[tuple[int, str, Sequence[Figure], float]], console: Console) -> None:
    """Print a line for each scenario: its number, title, figures and seconds."""
    table = Table(box=box.HORIZONTALS, show_edge=False)
    for heading in ("", "scenario", "met", "seconds"):
        table.add_column(heading)
    for number, title, figures, seconds in rows:
        met = sum(figure.met for figure in figures)
        verdict = "[green]PASS[/]" if met == len(figures) else "[red]FAIL[/]"
        table.add_row(verdict, f"{number}. {title}", f"{met} of {len(figures)}", f"{seconds:.0f}")
    console.print()
    console.print(table)
