"""`python -m backend data`: what training data hold, before a training is begun with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from backend.training.data.source import Source


def data(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="As for train --data.")],
    *,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="An evaluation set whose pictures must not be there."),
    ] = None,
    bits: Annotated[
        int, typer.Option(min=0, max=32, help="How many of 64 bits two copies may differ in.")
    ] = 8,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A list of them, which train --data leaves out."),
    ] = None,
) -> None:
    """Show the sets in training data, check their shards, and find evaluation pictures."""
    from backend.training.data.opening import open_sources

    source = open_sources(paths, verify=True)
    typer.echo(table(source))
    typer.echo(f"fingerprint {source.fingerprint()}")
    if against:
        _find(source, against, bits, out)


def table(source: Source) -> str:
    """The sets with their kinds, pictures, objects, and how often weights would draw them."""
    from backend.training.data.mixture import Weighting

    weights = Weighting().of(source)
    rows: dict[tuple[str, str], tuple[int, int, float]] = {}
    for index, weight in enumerate(weights.tolist()):
        record = source.record(index)
        pictures, objects, share = rows.get((record.source, record.kind), (0, 0, 0.0))
        rows[record.source, record.kind] = pictures + 1, objects + record.objects, share + weight
    width = max(len("set"), *(len(name) for name, _ in rows))
    lines = [f"{'set':{width}}  kind       pictures  objects  weighted share"]
    for (name, kind), (pictures, objects, share) in sorted(rows.items()):
        lines.append(f"{name:{width}}  {kind:9}  {pictures:8}  {objects:7}  {share:14.1%}")
    total = sum(objects for _, objects, _ in rows.values())
    lines.append(f"{'all':{width}}  {'':9}  {len(source):8}  {total:7}")
    return "\n".join(lines)


def _find(source: Source, against: list[Path], bits: int, out: Path | None) -> None:
    from rich.progress import Progress

    from backend.training.data.near_duplicates import evaluation_pictures, near_pictures

    others = evaluation_pictures(against)
    with Progress(transient=True) as bar:
        task = bar.add_task("comparing", total=len(source))
        found = near_pictures(source, others, bits=bits, looked_at=lambda: bar.advance(task))
    for near in sorted(found, key=lambda near: (near.bits, near.name)):
        typer.echo(f"{near.name} looks like {near.other} ({near.bits} of 64 bits differ)")
    typer.echo(f"{len(found)} of {len(source)} pictures look like one of {len(others)}")
    if out is not None and found:
        out.write_text("".join(f"{near.name}\n" for near in found), encoding="utf-8")
        typer.echo(f"train with --data {out} beside the others, and they are left out")
