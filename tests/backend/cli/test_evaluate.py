"""The command end to end: an untrained network on small sets, everything else as in earnest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

import models
from backend import weights
from backend.cleaning import clean
from backend.cli import app
from backend.engine.segmenters import ZooSegmenters
from backend.errors import InvalidRequest, WeightsMissing
from backend.evaluation.datasets import DataSet
from backend.evaluation.layouts import open_dataset
from backend.evaluation.loading import faithful_options
from backend.evaluation.run import Protocol, evaluate
from backend.evaluation.summary import summarise
from backend.settings import Settings
from models import checkpoints
from tests.backend.evaluation import folders
from tests.backend.evaluation.synthetic import picture
from tests.models import registry

NAME = "ritm-hrnet18s@untrained"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the weights of an untrained network, once under a published name."""
    root = tmp_path_factory.mktemp("data")
    torch.manual_seed(5)
    network = models.create("ritm-hrnet18s")
    checkpoints.save(
        checkpoints.Checkpoint("ritm-hrnet18s", network.state_dict()), root / "net.safetensors"
    )
    for name in ("untrained", "coco-lvis"):
        weights.add(Settings(data_dir=root), root / "net.safetensors", name)
    return root


@pytest.fixture
def sets(tmp_path: Path) -> list[str]:
    pictures = {f"p{number}": picture((40, 56), seed=number) for number in range(3)}
    first = folders.write_packed(tmp_path / "one" / "toys", pictures, split="held_out")
    second = folders.write_colour_masks(tmp_path / "two" / "DAVIS", pictures)
    return [str(first), str(second)]


def run(data_dir: Path, *arguments: str) -> Result:
    environment = {"MASKLOOP_DATA_DIR": str(data_dir), "MASKLOOP_DEVICE": "cpu", "COLUMNS": "200"}
    return CliRunner().invoke(app, ["evaluate", *arguments], env=environment)


def test_table_json_and_pictures(data_dir: Path, sets: list[str], tmp_path: Path) -> None:
    out, json_file = tmp_path / "out", tmp_path / "numbers" / "result.json"
    options = ["--model", NAME, "--clicks", "2", "--limit", "1"]
    result = run(data_dir, *sets, *options, "--out", str(out), "--json", str(json_file))
    assert result.exit_code == 0, result.output
    assert "toys" in result.stdout
    assert "NoC@90" in result.stdout
    document = json.loads(json_file.read_text())
    assert document == json.loads((out / "evaluation.json").read_text())
    assert list(document) == ["toys", "DAVIS"]
    for entry in document.values():
        assert (entry["objects"], len(entry["miou"])) == (1, 2)
        assert {"noc@80", "noc@85", "noc@90", "nof@85", "nof@90"} <= entry.keys()
        assert entry["version"].startswith(NAME + ":")
        assert entry["seconds_per_click"] > 0
        assert entry["machine"]["device"] == "cpu"
        assert "first_click_side=800" in entry["settings"]
    written = {path.name for path in out.iterdir()}
    pictures = {f"{kind}-{name}" for kind in ("worst", "objects") for name in ("toys", "DAVIS")}
    assert {Path(name).stem for name in written} == {"evaluation", "iou", *pictures}


def test_served_numbers_are_those_of_the_servers_segmenter(
    data_dir: Path, sets: list[str], tmp_path: Path
) -> None:
    options = ["--model", NAME, "--clicks", "2", "--limit", "2"]
    assert run(data_dir, sets[0], *options, "--json", str(tmp_path / "r.json")).exit_code == 0
    segmenter = ZooSegmenters(Settings(data_dir=data_dir, device="cpu")).load(NAME)
    dataset = open_dataset(Path(sets[0])).limited(2)
    expected = summarise(evaluate(segmenter, dataset, Protocol(clicks=2), finish=clean))
    entry = json.loads((tmp_path / "r.json").read_text())["toys"]
    assert entry["miou"] == list(expected.miou)
    assert entry["settings"] == segmenter.settings


def test_equal_runs_give_equal_numbers(data_dir: Path, sets: list[str], tmp_path: Path) -> None:
    numbers = []
    for name in ("first.json", "second.json"):
        options = ["--model", NAME, "--clicks", "1", "--box", "--json", str(tmp_path / name)]
        assert run(data_dir, sets[0], *options).exit_code == 0
        entry = json.loads((tmp_path / name).read_text())["toys"]
        numbers.append({key: entry[key] for key in ("noc@80", "miou", "box_iou", "version")})
    assert numbers[0] == numbers[1]
    assert numbers[0]["box_iou"] is not None


def test_faithful_settings_are_the_papers(data_dir: Path, sets: list[str], tmp_path: Path) -> None:
    options = ["--model", NAME, "--clicks", "1", "--limit", "1", "--faithful"]
    result = run(data_dir, *sets, *options, "--json", str(tmp_path / "result.json"))
    assert result.exit_code == 0, result.output
    entries = json.loads((tmp_path / "result.json").read_text())
    assert all(entry["faithful"] for entry in entries.values())
    assert "threshold=0.49" in entries["toys"]["settings"]
    assert "first_click_side=None" in entries["toys"]["settings"]
    assert "zoom_target=400" in entries["toys"]["settings"]
    assert "zoom_target=600" in entries["DAVIS"]["settings"]


def test_faithful_options_of_every_system_can_be_set() -> None:
    dataset = DataSet("davis345", "packed", Path(), ())
    for name in registry.smallest() - {"maskloop"}:
        options = faithful_options(models.zoo.architecture(name).system, dataset)
        assert models.segmenter(name, **options).settings != models.segmenter(name).settings


def test_options_win_over_the_others(data_dir: Path, sets: list[str], tmp_path: Path) -> None:
    options = ["--model", NAME, "--clicks", "1", "--limit", "1", "--faithful"]
    chosen = ["--option", "zoom_target=96", "--option", "brs_mode=NoBRS", "--option", "flip=false"]
    result = run(data_dir, sets[0], *options, *chosen, "--json", str(tmp_path / "result.json"))
    assert result.exit_code == 0, result.output
    entry = json.loads((tmp_path / "result.json").read_text())["toys"]
    assert "zoom_target=96 " in entry["settings"]
    assert "flip=False" in entry["settings"]
    assert "threshold=0.49" in entry["settings"]


@pytest.mark.parametrize(
    ("option", "said"),
    [("zoom_target", "NAME=VALUE"), ("zoom=3", "zoom"), ("threshold=7", "within 0..1")],
)
def test_wrong_options_are_sentences(
    data_dir: Path, sets: list[str], option: str, said: str
) -> None:
    result = run(data_dir, sets[0], "--model", NAME, "--option", option)
    assert isinstance(result.exception, InvalidRequest)
    assert said in str(result.exception)


def test_larger_inputs_on_davis() -> None:
    davis, other = DataSet("DAVIS", "plain", Path(), ()), DataSet("SBD", "sbd", Path(), ())
    assert faithful_options("SimpleClick", davis)["input_side"] == (672, 672)
    assert faithful_options("SimpleClick", other)["input_side"] == (448, 448)
    assert faithful_options("f-BRS", davis)["zoom_target"] == 600


def test_a_system_without_a_paper_cannot_be_faithful() -> None:
    with pytest.raises(InvalidRequest, match="nothing was published of Ours"):
        faithful_options("Ours", DataSet("davis345", "packed", Path(), ()))


def test_published_numbers_are_printed_beside_ours(
    data_dir: Path, sets: list[str], tmp_path: Path
) -> None:
    folder = folders.write_packed(tmp_path / "berkeley", {"x": picture((40, 56))})
    model = "ritm-hrnet18s@coco-lvis"
    result = run(data_dir, str(folder), "--model", model, "--faithful", "--compare")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if "noc@90" in line]
    name, _, ours, published, difference, objects, _, whole = line.split()
    assert (name, published, objects, whole) == ("berkeley", "2.60", "1", "100")
    assert float(difference) == pytest.approx(float(ours) - 2.60, abs=0.006)
    assert "not all objects" in result.output


def test_a_comparison_needs_the_published_protocol(data_dir: Path, sets: list[str]) -> None:
    for wrong in (["--clicks", "5"], ["--box"], ["--random-clicks"], ["--until", "0.8"]):
        result = run(data_dir, sets[0], "--model", NAME, "--compare", *wrong)
        assert isinstance(result.exception, InvalidRequest)
        assert "--compare needs" in str(result.exception)


def test_sets_of_one_name_are_kept_apart(data_dir: Path, sets: list[str], tmp_path: Path) -> None:
    twin = folders.write_packed(tmp_path / "other" / "toys", {"x": picture((40, 56))})
    options = ["--model", NAME, "--clicks", "1", "--limit", "1"]
    result = run(data_dir, sets[0], str(twin), *options, "--json", str(tmp_path / "result.json"))
    assert result.exit_code == 0, result.output
    assert list(json.loads((tmp_path / "result.json").read_text())) == ["toys", str(twin)]


def test_absent_weights_say_what_to_type(data_dir: Path, sets: list[str]) -> None:
    result = run(data_dir, sets[0], "--model", "ritm-hrnet32")
    assert isinstance(result.exception, WeightsMissing)
    assert "weights pull ritm-hrnet32" in str(result.exception)


def test_unknown_folder_is_refused_before_anything_is_loaded(
    data_dir: Path, tmp_path: Path
) -> None:
    result = run(data_dir, str(tmp_path), "--model", NAME)
    assert isinstance(result.exception, InvalidRequest)
    assert "no evaluation set" in str(result.exception)


def test_unknown_split_is_refused(data_dir: Path, sets: list[str]) -> None:
    result = run(data_dir, sets[0], "--model", NAME, "--split", "adapt")
    assert isinstance(result.exception, InvalidRequest)
    assert "no object of the split 'adapt'" in str(result.exception)
