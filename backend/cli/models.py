"""`models`: the architectures, their weights, and which of those are here."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def models(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for a program.")] = False,
) -> None:
    """List every model that can be served, and whether its weights are installed."""
    found = rows()
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "installed", "MiB", "licence of the weights")
    for column in table.columns[:3]:
        column.no_wrap = True
    for row in found:
        digits = (row["version"] or "no").rpartition(":")[2]
        table.add_row(row["model"], digits, f"{row['mebibytes']:.1f}", row["licence"])
    Console().print(table)


def rows() -> list[dict[str, Any]]:
    """One entry per weights file, published or added; `version` is None where it is not here."""
    from backend.settings import load
    from backend.weights import stored
    from models.zoo import ARCHITECTURES

    present = stored(load())
    installed = {here.model: here for here in present}
    found = []
    for architecture in ARCHITECTURES.values():
        published = {file.name: file for file in architecture.weights}
        own = [here.weights for here in present if here.architecture == architecture.name]
        for name in dict.fromkeys([*published, *own]):
            file, here = published.get(name), installed.get(f"{architecture.name}@{name}")
            found.append(
                {
                    "model": f"{architecture.name}@{name}",
                    "system": architecture.system,
                    "version": here.version if here else None,
                    "mebibytes": file.mebibytes if file else here.size / 2**20 if here else None,
                    "prompts": list(architecture.prompts),
                    "parameters": architecture.parameters,
                    "licence": file.licence_weights if file else "yours",
                    "source": architecture.source,
                }
            )
    return found
