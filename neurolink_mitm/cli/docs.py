"""`neurolink docs`: the pages that were installed with the command."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail

PACKAGE = Path(__file__).parents[1]
EXTRA = ("README.md", "CHANGELOG.md")
LONGEST = 100
"""Characters of a line that is still read with ease."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| \[docs/([\w-]+)\.md\]\([^)]*\) \| (.+) \|$", re.MULTILINE)


def pages() -> dict[str, Path]:
    """Return the pages by name: those of the wheel, else of the checkout that is installed editable."""
    wheel = (PACKAGE / "docs").is_dir()
    folder = (PACKAGE if wheel else PACKAGE.parent) / "docs"
    extra = folder if wheel else PACKAGE.parent
    named = {path.stem: path for path in sorted(folder.glob("*.md"))}
    return named | {Path(name).stem.lower(): extra / name for name in EXTRA}


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in pages() if name.startswith(incomplete)]


@click.command("docs")
@click.argument("page", required=False, shell_complete=_names)
@click.option("--no-pager", is_flag=True, help="Print it whole, on a terminal too.")
def command(page: str | None, no_pager: bool) -> None:
    """Read the documentation; without PAGE, list what there is.

    Example: neurolink docs troubleshooting
    """
    paths = pages()
    try:
        if page is None:
            click.echo(_contents(paths), nl=False)
            return
        text = paths[_name(page, paths)].read_text("utf-8")
    except OSError as e:
        fail(f"the pages are not installed: {e.filename}: {e.strerror}", FAILED)
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
    elif no_pager:
        click.echo(_drawn(text), nl=False)
    else:
        os.environ.setdefault("LESS", "-FRX")  # ends by itself where all of it fits
        click.echo_via_pager(_drawn(text))


def _name(page: str, paths: Mapping[str, Path]) -> str:
    """Return the name of a page, given as `accounts`, `accounts.md`, `docs/accounts.md` or `accounts.md#moving`."""
    name = Path(page.partition("#")[0]).name.removesuffix(".md").lower()
    if name in paths:
        return name
    close = get_close_matches(name, paths, 3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(paths)}"
    fail(f"no page {page!r:.80}; {hint}", USAGE)


def _contents(paths: Mapping[str, Path]) -> str:
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable, printed

    about = dict(_ROW.findall(paths["readme"].read_text("utf-8")))
    about |= {"readme": "what it is, and the first steps", "changelog": "what changed lately"}
    texts = [Text(_plain(about.get(name, ""))) for name in paths]
    columns = (Column("page", [Text(name) for name in paths]), Column("about", texts, min_width=24))
    return f"{printed(FittedTable(columns))}\nRead one: neurolink docs PAGE\n"


def _drawn(text: str) -> str:
    """Return the page for a terminal, where links name the command that shows their target."""
    import io

    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="auto" if "NO_COLOR" not in os.environ else None,
    )
    console.width = min(console.width, LONGEST)
    with console.capture() as captured:
        console.print(Markdown(_LINK.sub(_leads, text), hyperlinks=False))
    return captured.get()


def _plain(text: str) -> str:
    return _LINK.sub(r"\2", text)


def _leads(match: re.Match[str]) -> str:
    image, text, target = match.groups()
    if target.startswith(("http:", "https:")):
        return match[0]
    path, _, _ = target.partition("#")
    name = Path(path).stem.lower()
    if not path or image or name not in pages() or not path.endswith(".md"):
        return text
    here = f"`neurolink docs {name}`"
    return here if text.removeprefix("docs/") == Path(path).name else f"{text} ({here})"
