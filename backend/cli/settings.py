"""`settings`: every setting with its default and its meaning, from the settings themselves."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backend.settings import MEGABYTE, Settings, variables


def settings(
    markdown: Annotated[bool, typer.Option(help="As a Markdown table, for a document.")] = False,
) -> None:
    """List every setting: its environment variable, its default and what it does."""
    if markdown:
        typer.echo(as_markdown())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", "default", "meaning")
    for row in rows():
        table.add_row(*row)
    Console().print(table)


def rows() -> list[tuple[str, str, str]]:
    """(environment variable, default, description) of every setting, in their order."""
    return [
        (variables(name)[0], _default(name), Settings.model_fields[name].description or "")
        for name in Settings.model_fields
    ]


def as_markdown() -> str:
    """The settings as a Markdown table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in rows()]
    return "\n".join(lines)


def _default(name: str) -> str:
    """The default as one would write it; where the machine decides, words instead."""
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "the user's data directory"
    value: Any = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value % MEGABYTE == 0 and value:
        return f"{value} ({value // MEGABYTE} MiB)"
    return str(value)
