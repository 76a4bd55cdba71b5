"""The command. What is heavy is imported by the command that needs it, so that help is quick."""

from __future__ import annotations

import sys

import typer

from backend.cli.cvat_functions import cvat_functions
from backend.cli.data import data
from backend.cli.doctor import doctor
from backend.cli.evaluate import evaluate
from backend.cli.label import label
from backend.cli.models import models
from backend.cli.predict import predict
from backend.cli.serve import serve
from backend.cli.settings import settings
from backend.cli.train import train
from backend.cli.weights import app as weights
from backend.cli.worker import worker
from backend.errors import MaskloopError

app = typer.Typer(
    name="maskloop",
    help="The ML backend that annotators of images click on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    serve,
    worker,
    predict,
    models,
    doctor,
    settings,
    evaluate,
    train,
    data,
    label,
    cvat_functions,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(weights, name="weights")


def main() -> None:
    """Run the command; a person's mistake ends it with one sentence and status 1."""
    try:
        app(prog_name="python -m backend")
    except MaskloopError as error:
        typer.echo(error.message, err=True)
        sys.exit(1)
