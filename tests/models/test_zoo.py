"""The table of architectures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from models import zoo
from models.transt import network_of
from models.zoo.entries import clicks_per_object

NAMES = [
    "mobilesam",
    "ritm-hrnet18s",
    "ritm-hrnet18",
    "ritm-hrnet32",
    "fbrs-resnet34",
    "fbrs-resnet50",
    "fbrs-resnet101",
    "fbrs-hrnet18",
    "fbrs-hrnet32",
    "focalclick-segformerb0-s1",
    "focalclick-segformerb0-s2",
    "focalclick-segformerb3-s2",
    "focalclick-hrnet18s-s1",
    "focalclick-hrnet18s-s2",
    "focalclick-hrnet32-s2",
    "clickattention-b0-s2",
    "clickattention-b3-s2",
    "simpleclick-vit-b",
    "simpleclick-vit-l",
    "simpleclick-vit-h",
    "s2m",
    "transt",
]
SETS = {"grabcut", "berkeley", "sbd", "davis", "voc", "coco_mval", "davis585"}


def test_the_table_has_its_names() -> None:
    assert [name for name in zoo.ARCHITECTURES if name != "maskloop"] == NAMES


@pytest.mark.parametrize("entry", zoo.ARCHITECTURES.values(), ids=lambda entry: entry.name)
def test_every_entry_is_complete(entry: zoo.Architecture) -> None:
    assert entry.weights
    assert set(entry.prompts) <= set(zoo.PROMPTS)
    assert entry.backbone and entry.source and entry.input
    assert entry.home.startswith("https://github.com/") or entry.name == "maskloop"
    for file in entry.weights:
        assert zoo.WEIGHTS_NAME.fullmatch(file.name)
        assert file.shipped or file.address.startswith("https://")
        assert file.url is None or file.url.endswith(f"/{file.file_name}")
        assert file.trained_on and file.licence_code and file.licence_weights
        assert entry.weights_file(file.name) is file
    assert entry.weights_file() is entry.weights[0]


@pytest.mark.parametrize("entry", zoo.SEGMENTERS.values(), ids=lambda entry: entry.name)
def test_published_numbers_are_clicks_on_known_sets_each_told_once(entry: zoo.Architecture) -> None:
    for file in entry.weights:
        told = [(number.dataset, number.metric, number.mode) for number in file.published]
        assert len(set(told)) == len(told)
        for number in file.published:
            assert number.dataset in SETS
            assert number.metric in ("noc@85", "noc@90")
            assert 1 <= number.value <= 20


def test_more_clicks_are_needed_for_a_better_mask() -> None:
    pairs = 0
    for entry in zoo.ARCHITECTURES.values():
        for file in entry.weights:
            noc = {(n.dataset, n.mode, n.metric): n.value for n in file.published}
            for (dataset, mode, metric), value in noc.items():
                better = noc.get((dataset, mode, "noc@90"))
                if metric == "noc@85" and better is not None:
                    assert value < better
                    pairs += 1
    assert pairs > 100


def test_size_agrees_with_the_parameters() -> None:
    for entry in zoo.SEGMENTERS.values():
        for file in entry.weights:
            if file.mebibytes is not None:
                assert file.mebibytes == pytest.approx(entry.mebibytes, rel=0.03)


def test_the_networks_of_a_tracker_differ_in_size() -> None:
    entry = zoo.architecture("transt")
    sizes = [file.mebibytes for file in entry.weights]
    assert sizes[0] == pytest.approx(entry.mebibytes, rel=0.01)
    for layers, size in zip((4, 2), sizes, strict=True):
        with torch.device("meta"):
            network = network_of("transt", {"layers": layers})
        values = sum(tensor.numel() for tensor in network.state_dict().values())
        assert size == pytest.approx(values * 4 / 2**20, rel=0.01)


def test_a_row_of_a_table_has_a_value_for_each_column() -> None:
    (number,) = clicks_per_object(["sbd 85"], [3.4], "f-BRS-B")
    assert number == zoo.Published("sbd", "noc@85", 3.4, "f-BRS-B")
    with pytest.raises(ValueError, match="zip"):
        clicks_per_object(["sbd 85", "sbd 90"], [3.4])


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("mobile-sam", "mobilesam"), ("ritm-hrnet-18", "ritm-hrnet18"), ("MobileSAM", "mobilesam")],
)
def test_a_wrong_name_is_told_the_near_ones(wrong: str, near: str) -> None:
    with pytest.raises(zoo.UnknownModel, match=near):
        zoo.architecture(wrong)


def test_a_strange_name_is_told_all() -> None:
    with pytest.raises(zoo.UnknownModel, match="there are maskloop, mobilesam, ritm-hrnet18s"):
        zoo.architecture("zzz")


def test_parse() -> None:
    ritm = zoo.architecture("ritm-hrnet18")
    assert zoo.parse("ritm-hrnet18") == (ritm, None)
    assert zoo.parse("ritm-hrnet18@sbd") == (ritm, "sbd")
    assert zoo.parse("ritm-hrnet18@my-own.2") == (ritm, "my-own.2")


@pytest.mark.parametrize("wrong", ["mobilesam@", "mobilesam@../x", "mobilesam@A", "mobilesam@a@b"])
def test_parse_refuses_names_that_could_be_paths(wrong: str) -> None:
    with pytest.raises(zoo.UnknownModel, match="name of lower-case letters"):
        zoo.parse(wrong)


def test_unpublished_weights_are_refused_with_the_published_ones() -> None:
    with pytest.raises(zoo.UnknownModel, match="ritm-hrnet18@coco-lvis, ritm-hrnet18@sbd"):
        zoo.architecture("ritm-hrnet18").weights_file("voc")


def test_a_network_is_asked_for_what_it_is_for_alone() -> None:
    assert zoo.ARCHITECTURES.keys() - zoo.SEGMENTERS.keys() >= {"transt"}
    with pytest.raises(zoo.UnknownModel, match="transt is there to track boxes through video"):
        zoo.architecture("transt").segmenter()
    with pytest.raises(zoo.UnknownModel, match="mobilesam is there to segment objects by clicks"):
        zoo.architecture("mobilesam").tracker()
    with pytest.raises(zoo.UnknownModel, match="a model that answers clicks is wanted"):
        zoo.segmenting("transt@n4")
    assert zoo.segmenting("ritm-hrnet18@sbd")[1] == "sbd"


def test_a_name_given_twice_is_refused() -> None:
    entry = zoo.architecture("mobilesam")
    with pytest.raises(ValueError, match="two architectures are called 'mobilesam'"):
        zoo.table([entry, entry])
    with pytest.raises(ValueError, match="two weights files of mobilesam"):
        zoo.table([replace(entry, weights=entry.weights * 2)])


def test_importing_the_zoo_does_not_import_torch() -> None:
    code = "import sys, models, models.zoo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
