"""`cvat-functions`: the files from which nuclio makes one function of CVAT a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def cvat_functions(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help="What to serve; the models in the settings."),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where one directory a function is made.")
    ] = Path("functions"),
    gpu: Annotated[
        bool, typer.Option("--gpu", help="function-gpu.yaml in place of function.yaml.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Every published segmenter.")] = False,
) -> None:
    """Write a nuclio function of CVAT for every model offered to the tools."""
    from backend.errors import InvalidRequest, UnknownModelName
    from backend.frontends.cvat import function_files
    from backend.settings import load
    from models import zoo

    settings = load()
    models = names or settings.offered_models
    if every:
        models = [
            f"{entry.name}@{file.name}"
            for entry in zoo.SEGMENTERS.values()
            for file in entry.weights
        ]
    try:
        functions = [function_files.of_model(model, settings.of_models()) for model in models]
    except zoo.UnknownModel as error:
        raise UnknownModelName(str(error), field="model") from None
    for function in functions:
        folder = out / function.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / function_files.FILE_NAMES[gpu]
            path.write_text(function_files.text(function, gpu=gpu), encoding="utf-8")
        except OSError as error:
            raise InvalidRequest(f"{folder} cannot be written: {error.strerror}") from None
        typer.echo(f"{path}" + (f": {function.bring}" if function.bring else ""))
