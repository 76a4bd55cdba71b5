"""`python -m backend label`: training objects from a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def label(
    *,
    data: Annotated[
        list[Path], typer.Option(metavar="PATH", help="Pictures, as train takes them.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the tar shards.")],
    side: Annotated[
        int, typer.Option(min=64, help="What MobileSAM sees of a picture's long side.")
    ] = 1024,
    points: Annotated[int, typer.Option(min=1, help="Points along the long side.")] = 16,
    score: Annotated[float, typer.Option(min=0, max=1, help="The least score.")] = 0.88,
    stability: Annotated[float, typer.Option(min=0, max=1, help="The least stability.")] = 0.92,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
) -> None:
    """Let MobileSAM draw what it is sure of, where no person has drawn anything."""
    from rich.progress import Progress

    from backend import settings as configuration
    from backend.engine.segmenters import choose_device
    from backend.errors import InvalidRequest
    from backend.training.data.opening import open_sources
    from backend.training.teacher import label as run
    from backend.training.teacher import teacher
    from models.sam_everything import EverythingOptions

    if out.exists() and any(out.iterdir()):
        raise InvalidRequest(f"--out {out} is not empty; name a new folder", field="out")
    settings = configuration.load()
    source = open_sources(data)
    network = teacher(settings, side, choose_device(device or settings.device))
    options = EverythingOptions(points=points, score=score, stability=stability)
    with Progress() as bar:
        task = bar.add_task("labelling", total=len(source))
        pictures, objects = run(source, network, out, options, lambda: bar.advance(task))
    typer.echo(f"{objects} objects on {pictures} of {len(source)} pictures: {out}")
