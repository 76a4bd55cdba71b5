"""`models`: the architectures, their weights, and which of those are here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from backend.weights import InstalledWeights
    from models.zoo import Architecture, Published, WeightsFile

SHOWN = ("berkeley", "davis")
"""Of the published NoC@90 the table shows these sets; `models NAME` shows all."""


def models(
    name: Annotated[
        str | None, typer.Argument(help="ARCHITECTURE or ARCHITECTURE@WEIGHTS, for all about it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for a program.")] = False,
    markdown: Annotated[
        bool, typer.Option(help="The tables of docs/models.md: all published models.")
    ] = False,
) -> None:
    """List every model that can be served, and whether its weights are installed."""
    if markdown:
        from backend.cli.models_document import tables

        typer.echo(tables())
        return
    found = rows(name)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if name is not None:
        typer.echo("\n\n".join(_lines(row) for row in found))
        return
    from rich.console import Console

    Console().print(_table(found))


def rows(name: str | None = None) -> list[dict[str, Any]]:
    """One entry per weights file, published or added; `version` is None where it is not here.

    Those of `name` alone where it is given. Raises UnknownModelName.
    """
    from backend.errors import UnknownModelName
    from backend.settings import load
    from backend.weights import present
    from models import zoo

    try:
        wanted, weights = zoo.parse(name) if name else (None, None)
    except zoo.UnknownModel as error:
        raise UnknownModelName(str(error), field="model") from None
    usable = present(load())
    found = [
        row
        for entry in ([wanted] if wanted else zoo.ARCHITECTURES.values())
        for row in _rows_of(entry, usable)
        if weights in (None, row["weights"])
    ]
    if not found:
        raise UnknownModelName(
            f"no weights are known or installed as {name}; `python -m backend models` lists those"
            " there are",
            field="model",
        )
    return found


def _rows_of(entry: Architecture, usable: Iterable[InstalledWeights]) -> list[dict[str, Any]]:
    here = {stored.weights: stored for stored in usable if stored.architecture == entry.name}
    published = {file.name: file for file in entry.weights}
    return [
        _row(entry, name, published.get(name), here.get(name))
        for name in dict.fromkeys([*published, *here])
    ]


def _row(
    entry: Architecture, name: str, file: WeightsFile | None, here: InstalledWeights | None
) -> dict[str, Any]:
    size = here.size / 2**20 if here else None
    return {
        "model": f"{entry.name}@{name}",
        "architecture": entry.name,
        "weights": name,
        "system": entry.system,
        "backbone": entry.backbone,
        "prompts": list(entry.prompts),
        "parameters": entry.parameters,
        "version": here.version if here else None,
        "mebibytes": file.mebibytes if file and file.mebibytes else size,
        "trained_on": file.trained_on if file else None,
        "file_name": file.file_name if file else None,
        "address": file.address if file else None,
        "shared_folder": file is not None and file.url is None and file.page is not None,
        "shipped": file is not None and file.shipped,
        "bytes": file.size if file else None,
        "sha256": file.sha256 if file else None,
        "unverified_sha256": file.unverified_sha256 if file else None,
        "licence_code": file.licence_code if file else None,
        "licence": file.licence_weights if file else "yours",
        "published": [_published(number) for number in file.published] if file else [],
        "source": entry.source,
        "home": entry.home,
    }


def _published(number: Published) -> dict[str, Any]:
    extra = {"mode": number.mode, "told_by": number.told_by}
    return {
        "dataset": number.dataset,
        "metric": number.metric,
        "value": number.value,
        **{key: text for key, text in extra.items() if text},
    }


def _table(found: list[dict[str, Any]]) -> Any:
    """One line per weights file under its architecture; fits 100 characters."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("network", no_wrap=True)
    for head in ("MiB", *(f"NoC@90\n{dataset}" for dataset in SHOWN)):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("installed", no_wrap=True)
    last: dict[str, Any] = {}
    for row in found:
        if last and row["system"] != last["system"]:
            table.add_section()
        network = f"{row['backbone'].partition(' + ')[0]}, {row['parameters'] / 1e6:.0f} M"
        table.add_row(
            row["model"],
            network if row["architecture"] != last.get("architecture") else "",
            _size(row),
            *(_noc(row, dataset) for dataset in SHOWN),
            (row["version"] or "no").rpartition(":")[2],
        )
        last = row
    table.caption = "`models NAME` tells all of one: prompts, address, checksum, licences, NoC"
    return table


def _size(row: dict[str, Any]) -> str:
    return f"{row['mebibytes']:.0f}" if row["mebibytes"] else "?"


def _noc(row: dict[str, Any], dataset: str) -> str:
    for number in row["published"]:
        if (number["dataset"], number["metric"]) == (dataset, "noc@90"):
            return f"{number['value']:.2f}"
    return ""


def _lines(row: dict[str, Any]) -> str:
    """Everything that is known of one model, as indented lines."""
    folder = " (a shared folder: download by hand)" if row["shared_folder"] else ""
    address = "part of this program" if row["shipped"] else f"{row['address']}{folder}"
    checksum = row["sha256"] or "none published; that of the first copy is kept"
    if row["unverified_sha256"]:
        checksum += f"; a third party says {row['unverified_sha256']}"
    lines = {
        "system": f"{row['system']}: {row['source']}",
        "network": f"{row['backbone']}, {row['parameters']:,} values",
        "prompts": ", ".join(row["prompts"]),
        "installed": row["version"] or "no",
    }
    if row["trained_on"]:
        lines |= {
            "trained on": row["trained_on"],
            "file": f"{row['file_name'] or 'name not known'}, {_size(row)} MiB",
            "address": address,
            **({} if row["shipped"] else {"sha256": checksum}),
            "code": row["licence_code"],
        }
    lines |= {"weights": row["licence"], "home": row["home"]}
    numbers = [_number(number) for number in row["published"]]
    text = "\n".join(f"  {head:11} {line}" for head, line in lines.items())
    published = "".join(f"\n    {number}" for number in numbers)
    return f"{row['model']}\n{text}" + (f"\n  published{published}" if numbers else "")


def _number(number: dict[str, Any]) -> str:
    extra = [number[key] for key in ("mode", "told_by") if key in number]
    line = f"{number['dataset']:10} {number['metric']:7} {number['value']:5.2f}  {', '.join(extra)}"
    return line.rstrip()
