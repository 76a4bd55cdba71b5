"""`python -m backend weights`: fetch, add, list and check the weights of models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from backend import settings as configuration
from backend import weights
from backend.errors import MaskloopError
from backend.weights_sources import Fetcher
from models import zoo

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
        found = weights.add(configuration.load(), file, name)
    typer.echo(f"{found.model} is installed: version {found.version}, {found.path}")


@app.command("list")
def list_() -> None:
    """Show what can be fetched and what is installed."""
    with _sentences():
        present = {found.model: found for found in weights.stored(configuration.load())}
    for entry in zoo.ARCHITECTURES.values():
        for file in entry.weights:
            model = f"{entry.name}@{file.name}"
            found = present.pop(model, None)
            state = f"installed, {found.version}" if found else "not installed"
            typer.echo(
                f"{model:32} {file.mebibytes:6.1f} MiB  {state}"
                f"  (weights: {file.licence_weights}; code: {file.licence_code})"
            )
    for model, found in present.items():
        typer.echo(f"{model:32} {found.size / 2**20:6.1f} MiB  installed, {found.version}")


@app.command()
def verify() -> None:
    """Read every stored file again and compare it with the digest it was stored under."""
    with _sentences():
        results = weights.verify(configuration.load())
    for result in results:
        typer.echo(f"{result.model}: {result.problem or 'intact'}")
    if not results:
        typer.echo("no weights are installed")
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
