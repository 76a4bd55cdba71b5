"""The tables of docs/models.md, from the table of models: `models --markdown` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from models import zoo
from models.zoo import Architecture, Published, WeightsFile, transt
from models.zoo.entries import CORRECTING

SETS = {
    "grabcut": "GrabCut",
    "berkeley": "Berkeley",
    "sbd": "SBD",
    "davis": "DAVIS",
    "voc": "VOC",
    "coco_mval": "COCO_MVal",
    "davis585": "DAVIS-585",
}
"""The published sets as papers write them, in the order of the columns."""


def tables() -> str:
    """All tables, each under its heading."""
    entries = zoo.ARCHITECTURES.values()
    parts = ["## All models", *_models(entries), "", "## Published clicks"]
    parts += [*_published(zoo.SEGMENTERS.values()), "", "## Published tracking"]
    parts += _tracking(entry for entry in entries if entry.task == "track")
    return "\n".join(parts)


def _models(entries: Iterable[Architecture]) -> Iterator[str]:
    yield ""
    yield "| model | network | values | MiB | file | licence of the code | of the weights |"
    yield "|---|---|---:|---:|---|---|---|"
    for entry in entries:
        for file in entry.weights:
            size = f"{file.mebibytes or entry.mebibytes:.0f}"
            yield (
                f"| `{entry.name}@{file.name}` | {entry.backbone} | {entry.parameters:,} | {size}"
                f" | {_file(file)} | {file.licence_code} | {file.licence_weights} |"
            )


def _file(file: WeightsFile) -> str:
    title = f"`{file.file_name}`" if file.file_name else "name not known"
    if file.url:
        return f"{title}, [fetched]({file.url})"
    return f"{title}, [shared folder]({file.page})" if file.page else "comes with Maskloop"


def _published(entries: Iterable[Architecture]) -> Iterator[str]:
    yield ""
    yield f"| model | {' | '.join(SETS.values())} | command |"
    yield f"|---|{'---|' * len(SETS)}---|"
    for entry in entries:
        for file in entry.weights:
            rows = groupby(file.published, key=lambda number: (number.mode, number.told_by))
            for (mode, told_by), numbers in rows:
                yield _row(f"{entry.name}@{file.name}", mode, told_by, list(numbers))


def _tracking(entries: Iterable[Architecture]) -> Iterator[str]:
    """One row a file: how well boxes were followed, in percent."""
    heads = [f"{title} {metric.upper()}" for title, metric in transt.SETS.values()]
    yield ""
    yield f"| model | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(heads)}"
    for entry in entries:
        for file in entry.weights:
            values = {number.dataset: f"{number.value:.1f}" for number in file.published}
            cells = [values.get(dataset, "") for dataset in transt.SETS]
            yield f"| `{entry.name}@{file.name}` | {' | '.join(cells)} |"


def _row(model: str, mode: str, told_by: str, numbers: list[Published]) -> str:
    values = {(number.dataset, number.metric): number.value for number in numbers}
    remarks = ", ".join(filter(None, (mode, told_by and f"told by {told_by}")))
    title = f"`{model}`" + (f" ({remarks})" if remarks else "")
    cells = [_cell(values, dataset) for dataset in SETS]
    return f"| {title} | {' | '.join(cells)} | {_command(model, mode)} |"


def _cell(values: dict[tuple[str, str], float], dataset: str) -> str:
    """NoC@85/NoC@90, a dash for what was not published."""
    pair = [values.get((dataset, f"noc@{quality}")) for quality in (85, 90)]
    if pair == [None, None]:
        return ""
    return "/".join("-" if value is None else f"{value:.2f}" for value in pair)


def _command(model: str, mode: str) -> str:
    setting = f"MASKLOOP_BRS_MODE={mode} " if mode.endswith("BRS") else ""
    start = " --start sp" if mode == CORRECTING else ""
    return f"`{setting}python -m backend evaluate SETS --model {model}{start} --faithful --compare`"
