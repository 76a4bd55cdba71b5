"""`python -m backend weights`: fetch, add, list and check the weights of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from backend import settings as configuration
from backend import weights
from backend.cli.models import rows
from backend.errors import MaskloopError
from backend.weights_sources import Fetcher

app = typer.Typer(help="Fetch, add, list and check the weights of models.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="architecture or architecture@weights, as listed")]


@app.command()
def pull(model: Model) -> None:
    """Fetch published weights, check them and keep them in the data directory."""
    console = Console(stderr=True)
    with _sentences(), _progress(console) as progress:
        found = weights.pull(
            configuration.load(), model, Fetcher(progress=_Bars(progress), note=console.print)
        )
    typer.echo(f"{found.model} is installed: version {found.version}, {found.path}")


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="an author's checkpoint, or safetensors of ours")],
    name: Annotated[str | None, typer.Option(help="what follows the @ in the model's name")] = None,
) -> None:
    """Store a weights file that is on this machine already; its content tells what it is."""
    with _sentences():
        found = weights.add(configuration.load(), file, name, Console(stderr=True).print)
    typer.echo(f"{found.model} is installed: version {found.version}, {found.path}")


@app.command("list")
def list_() -> None:
    """Show what can be had, from where and on what terms, and what is installed."""
    with _sentences():
        found = rows()
    table = Table(box=SIMPLE, padding=0, pad_edge=False)
    for head in ("model", "MiB", "from", "installed", "code"):
        table.add_column(head, no_wrap=True, min_width=len(head))
    for row in found:
        table.add_row(
            row["model"],
            f"{row['mebibytes']:.0f}" if row["mebibytes"] else "?",
            _origin(row),
            (row["version"] or "no").rpartition(":")[2],
            (row["licence_code"] or row["licence"]).partition(" ")[0],
        )
    table.caption = (
        f"folder: `{weights.COMMAND} pull NAME` says what to do by hand\n"
        "code: its licence; `python -m backend models NAME` tells the terms of the weights"
    )
    Console().print(table)


def _origin(row: Mapping[str, Any]) -> str:
    """How the file comes here, in one word."""
    if row["shipped"]:
        return "program"
    if row["shared_folder"]:
        return "folder"
    return "pull" if row["address"] else "you"


@app.command()
def verify() -> None:
    """Read every stored file again and compare it with the digest it was stored under."""
    with _sentences():
        results = weights.verify(configuration.load())
    for result in results:
        typer.echo(f"{result.model}: {result.problem or 'intact'}")
    if any(result.problem for result in results):
        raise typer.Exit(1)


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors as one sentence and exit status 1."""
    try:
        yield
    except MaskloopError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{error.filename or 'a file'}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class _Bars:
    """A bar for each file, from its first bytes on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, file: str, done: int, total: int | None) -> None:
        if file not in self._tasks:
            self._tasks[file] = self._progress.add_task(file, total=total)
        self._progress.update(self._tasks[file], completed=done, total=total)
