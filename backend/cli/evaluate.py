"""`python -m backend evaluate`: clicks per object of a model on evaluation sets."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend import settings as configuration
from backend.errors import InvalidRequest

if TYPE_CHECKING:
    from backend.evaluation.datasets import DataSet
    from backend.evaluation.run import Evaluation


def evaluate(
    *,
    dataset_dirs: Annotated[
        list[Path], typer.Argument(metavar="DATASET_DIR...", help="Folders of evaluation sets.")
    ],
    model: Annotated[
        str | None, typer.Option(help="ARCHITECTURE or ARCHITECTURE@WEIGHTS; the default model.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Objects a set, chosen by a hash of their keys.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, help="Most clicks an object.")] = 20,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="The papers' settings in place of the served ones.")
    ] = False,
    box: Annotated[
        bool, typer.Option("--box", help="Give the object's true box before the first click.")
    ] = False,
    start: Annotated[
        str | None, typer.Option(help="Correct masks that the set has: sp or stm of DAVIS-585.")
    ] = None,
    random_clicks: Annotated[
        bool, typer.Option("--random-clicks", help="Click less tidily than the standard annotator.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of --random-clicks.")] = 0,
    until: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave an object at this IoU; means carry it on."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of the system's segmenter; repeatable."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only the objects of this split of a set's manifest.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Print the published numbers beside ours.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers here.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write numbers, plot, worst objects and lists here."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:N or mps; MASKLOOP_DEVICE by default.")
    ] = None,
) -> None:
    """Count the clicks that a model needs on the objects of evaluation sets."""
    from backend.cleaning import clean
    from backend.evaluation import loading, machine, published, report
    from backend.evaluation.run import Protocol, as_it_is
    from backend.evaluation.run import evaluate as run
    from backend.evaluation.summary import summarise

    settings = configuration.load()
    if device is not None:
        settings = settings.model_copy(update={"device": device})
    model = model or settings.model
    protocol = Protocol(clicks, until, box, random_clicks, seed, start)
    options = loading.parsed_options(option or ())
    if compare:
        published.check(protocol)
    datasets = _open(dataset_dirs, limit, split)
    evaluations: dict[str, Evaluation] = {}
    with _bar() as bar:
        for name, dataset in datasets.items():
            segmenter = loading.load(settings, model, dataset, faithful=faithful, options=options)
            task = bar.add_task(name, total=len(dataset.samples))
            evaluations[name] = run(
                segmenter,
                dataset,
                protocol,
                progress=partial(bar.advance, task),
                finish=as_it_is if faithful else clean,
            )
            ran_on = machine.describe(loading.device(settings))
            summaries = {done: summarise(evaluations[done]) for done in evaluations}
            document = report.as_json(summaries, model=model, faithful=faithful, machine=ran_on)
            for path in filter(None, (json_file, out and out / "evaluation.json")):
                report.write_json(path, document)
    Console().print(report.tables(summaries))
    if compare:
        Console().print(published.table(published.compare(summaries), faithful=faithful))
    if out is not None:
        report.write_pictures(out, evaluations)


def _open(dirs: Iterable[Path], limit: int | None, split: str | None) -> dict[str, DataSet]:
    """The sets by name; one whose name is taken gets its whole path for a name."""
    from backend.evaluation.layouts import open_dataset

    datasets: dict[str, DataSet] = {}
    for root in dirs:
        dataset = open_dataset(root).of_split(split).limited(limit)
        if not dataset.samples:
            raise InvalidRequest(f"{root} has no object of the split {split!r}")
        name = dataset.name if dataset.name not in datasets else str(root.resolve())
        datasets[name] = dataset
    return datasets


def _bar() -> Progress:
    """A progress bar on stderr, so that stdout holds the table alone."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
